#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| heirloom_fuzz_targets::pair(input));
