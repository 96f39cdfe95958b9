#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fakebroker::fuzzing::amqp_10(input));
