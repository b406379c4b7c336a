//! The form of what travels, without a node.

use std::{fs, path::Path};

use heirloom_core::{AttributeVersion, SessionVersion, fuzz};

use crate::choices::Choices;

/// Whose frames the golden files are.
const CLUSTER: &str = "heirloom";

pub(crate) fn decode(input: &[u8]) {
    fuzz::decode(input, CLUSTER);
    // What a client hands back comes from anywhere too.
    if let Ok(version) = SessionVersion::from_bytes(input) {
        assert!(version.covers(&version));
        assert_eq!(SessionVersion::from_bytes(&version.to_bytes()), Ok(version));
    }
    if let Ok(version) = AttributeVersion::from_bytes(input) {
        assert_eq!(AttributeVersion::from_bytes(&version.to_bytes()), Ok(version));
    }
}

pub(crate) fn round_trip(input: &[u8]) {
    fuzz::round_trip(&mut Choices::new(input));
}

/// The golden files: one message of every kind, as it is and without the frame around it.
pub(crate) fn golden() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let mut paths: Vec<_> = fs::read_dir(folder).expect("golden files are there").flatten().collect();
    paths.sort_by_key(fs::DirEntry::file_name);
    let bytes = paths.iter().map(|entry| {
        let text = fs::read_to_string(entry.path()).expect("it can be read");
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits.chunks(2).map(|pair| core::str::from_utf8(pair).expect("digits are text"));
        let bytes: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).expect("it is a byte")).collect();
        (entry.file_name().to_string_lossy().contains("frame"), bytes)
    });
    let bytes: Vec<_> = bytes.collect();
    let framed = bytes.iter().filter(|(framed, _)| *framed).map(|(_, bytes)| &bytes[..]);
    // A stream has a length before each frame; a datagram begins with the version.
    let bodies = framed.map(|bytes| bytes[if bytes[0] == 1 { 6 } else { 10 }..bytes.len() - 4].to_vec());
    bodies.collect::<Vec<_>>().into_iter().chain(bytes.into_iter().map(|(_, bytes)| bytes)).collect()
}
