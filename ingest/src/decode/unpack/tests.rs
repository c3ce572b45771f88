//! Tests of unpacking.

use std::io::Write as _;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// `{"a":21.5}` in CBOR and MessagePack.
const CBOR: &[u8] = &[0xa1, 0x61, b'a', 0xf9, 0x4d, 0x60];
const MESSAGE_PACK: &[u8] = &[0x81, 0xa1, b'a', 0xca, 0x41, 0xac, 0, 0];
const JSON: &str = r#"{"a":21.5}"#;

#[test]
fn each_encoding_is_read_as_the_rule_or_the_content_type_says() {
    for (bytes, encoding, content_type) in [
        (JSON.as_bytes(), Encoding::Auto, None),
        (JSON.as_bytes(), Encoding::Json, Some("application/cbor")),
        (JSON.as_bytes(), Encoding::Auto, Some("application/json; charset=utf-8")),
        (CBOR, Encoding::Cbor, None),
        (CBOR, Encoding::Auto, Some("application/cbor")),
        (CBOR, Encoding::Auto, Some("application/senml+CBOR")),
        (MESSAGE_PACK, Encoding::MessagePack, None),
        (MESSAGE_PACK, Encoding::Auto, Some("application/x-msgpack")),
        (MESSAGE_PACK, Encoding::Auto, Some("application/vnd.msgpack")),
    ] {
        assert_eq!(unpack(bytes, content_type, encoding).unwrap(), JSON, "{content_type:?}");
        for packed in [gzip(bytes), zstd(bytes)] {
            assert_eq!(unpack(&packed, content_type, encoding).unwrap(), JSON, "{content_type:?}");
        }
    }
    assert!(matches!(unpack(b"21.5", None, Encoding::Auto), Ok(Cow::Borrowed("21.5"))));
    assert_eq!(unpack(&gzip(CBOR), Some("application/cbor+gzip"), Encoding::Auto).unwrap(), JSON);
}

#[test]
fn only_a_whole_map_is_guessed_to_be_binary() {
    for bytes in [CBOR, MESSAGE_PACK, &gzip(CBOR), &zstd(MESSAGE_PACK)] {
        assert_eq!(unpack(bytes, None, Encoding::Auto).unwrap(), JSON);
        let cut = &bytes[..bytes.len() - 1];
        assert!(unpack(cut, None, Encoding::Auto).is_err());
        assert!(unpack(bytes, None, Encoding::Json).is_err(), "the rule says what it is");
    }
    let more = [CBOR, b"\x00"].concat();
    for bytes in [&more, &gzip(&gzip(b"{}")), &vec![0xff], &b"\x81".to_vec(), &b"\xbf".to_vec()] {
        assert_eq!(unpack(bytes, None, Encoding::Auto).unwrap_err().code, Code::NotUtf8);
    }
    assert_eq!(unpack(JSON.as_bytes(), None, Encoding::Cbor).unwrap_err().code, Code::CborSyntax);
    let told = unpack(JSON.as_bytes(), Some("application/gzip"), Encoding::Auto).unwrap_err();
    assert_eq!(told.code, Code::CompressionCorrupt);
}

#[test]
fn inv8_a_bomb_is_refused_by_name() {
    let zeros = vec![b'0'; (16 << 20) + 1];
    for bomb in [gzip(&zeros), zstd(&zeros)] {
        assert!(bomb.len() < 256 << 10, "{}", bomb.len());
        let refused = unpack(&bomb, None, Encoding::Auto).unwrap_err();
        assert_eq!(refused.code, Code::UnpackTooLarge);
        assert!(refused.reason.ends_with("unpacks to more than 16 MiB"), "{}", refused.reason);
    }
    let just = gzip(&zeros[1..]);
    assert_eq!(unpack(&just, None, Encoding::Auto).unwrap().len(), 16 << 20);
    // A text of control characters is six times as long in JSON.
    let text = [vec![0x7a, 0, 0x40, 0, 0], vec![1; 4 << 20]].concat();
    assert_eq!(unpack(&text, None, Encoding::Cbor).unwrap_err().code, Code::UnpackTooLarge);
}

#[test]
fn what_is_cut_or_broken_is_refused() {
    for packed in [gzip(JSON.as_bytes()), zstd(JSON.as_bytes())] {
        let cut = unpack(&packed[..packed.len() - 3], None, Encoding::Auto);
        assert_eq!(cut.unwrap_err().code, Code::CompressionCorrupt);
        let mut broken = packed.clone();
        broken[4..8].fill(0xff);
        let last = broken.len() - 2;
        broken[last] ^= 0x55;
        assert!(unpack(&broken, None, Encoding::Auto).is_err());
    }
}
