#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fakebroker::fuzzing::codecs_091(input));
