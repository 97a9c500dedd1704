//! Tests of the detection of a file's shape.

use super::*;
use crate::source::refusal::RefusalKind;

fn found(text: &[u8]) -> Shape {
    shape(text, true)
        .unwrap_or_else(|refusal| panic!("{:?}: {refusal}", String::from_utf8_lossy(text)))
}

fn refused(text: &[u8]) -> Refusal {
    shape(text, true).expect_err(&String::from_utf8_lossy(text))
}

/// The rest of the file, from its first row on.
fn rows(text: &str) -> &str {
    &text[found(text.as_bytes()).start as usize..]
}

#[test]
fn the_delimiter_is_detected() {
    for (text, delimiter) in [
        ("city_id,city,country,latitude,longitude\n", b','),
        ("ID;Name;Country Code;LAT;LNG\n", b';'),
        ("geoname-id\tCity_Name\tcountry_code\tlatitude_deg\tlongitude_deg\n", b'\t'),
        ("city|lat|long", b'|'),
        ("\"id\",\"city\",\"country\",\"lat\",\"lon\"\r\n", b','),
    ] {
        assert_eq!(found(text.as_bytes()).columns.delimiter, delimiter, "{text}");
    }
}

#[test]
fn lines_above_the_header_are_no_rows() {
    for text in [
        "city,lat,lon\nA,1,2\n",
        "\u{feff}city,lat,lon\nA,1,2\n",
        "\n \n\ncity,lat,lon\nA,1,2\n",
        "sep=,\ncity,lat,lon\nA,1,2\n",
        "\"SEP=,\"\r\ncity,lat,lon\nA,1,2\n",
        "Stations of the north,,\ncity,lat,lon\nA,1,2\n",
        "Stations 5\" and more\n\n# made by hand\ncity,lat,lon\nA,1,2\n",
        "# city,lat,lon\ncity,lat,lon\nA,1,2\n",
        "#city,lat,lon\nA,1,2\n",
        "1\n2\n3\n4\n5\n6\n7\n8\n9\ncity,lat,lon\nA,1,2\n",
        "\"city\",\"lat\n(deg)\",\"lon\n(deg)\"\nA,1,2\n",
    ] {
        assert_eq!(rows(text), "A,1,2\n", "{text:?}");
    }
    assert_eq!(rows("sep=^\ncity^lat^lon\nA^1^2\n"), "A^1^2\n");
    assert_eq!(rows("sep=\t\ncity\tlat\nA\t1\n"), "A\t1\n");
    assert_eq!(found(b"Title\n\ncity,lat,lon\nA,1,2\n").line, 4);
    assert_eq!(
        refused(b"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\nfoo;bar\ncity;lat\n").kind,
        RefusalKind::NoHeader
    );
}

#[test]
fn a_single_column_is_a_list_of_names() {
    for (text, names) in [
        ("Paris\nRome\n", "Paris\nRome\n"),
        ("City\nParis\n", "Paris\n"),
        ("# mine\nParis\n", "Paris\n"),
        ("My cities\n\ncity\nParis\n", "Paris\n"),
        ("Paris\nWashington, D.C.\n", "Paris\nWashington, D.C.\n"),
        ("Paris\nBonn, Germany\nRome, Italy\n", "Paris\nBonn, Germany\nRome, Italy\n"),
    ] {
        assert_eq!(rows(text), names, "{text:?}");
        assert_eq!(found(text.as_bytes()).columns.delimiter, NO_DELIMITER);
    }
}

#[test]
fn a_table_is_never_a_list_of_names() {
    for text in [
        "city:country:lat:lon\nA:FR:1:2\n",
        "city country lat lon\nA FR 1 2\n",
        "city\u{1}lat\u{1}lon\nA\u{1}1\u{1}2\n",
        "foo,bar\n1,2\n",
        "foo,lat,lon\n1,2,3\n",
        "Paris,FR,48.85,2.35\n",
        "Title\nfoo;bar;baz\n1;2;3\n4;5;6\n",
        "Title\ncity,notes\nParis,x\n",
        "Name,Weather export\nfoo,lat,lon\n1,2,3\n",
    ] {
        assert_eq!(refused(text.as_bytes()).kind, RefusalKind::NoHeader, "{text:?}");
    }
    let detail = refused(b"foo,lat,lon\n1,2,3\n").detail;
    assert!(detail.ends_with("the first line has: foo, lat, lon"), "{detail}");
}

#[test]
fn other_formats_are_named() {
    for (bytes, name) in [
        (&b"PK\x03\x04\x14\0\x06\0"[..], "spreadsheet"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"\xd0\xcf\x11\xe0\xa1", "XLS"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"  <html><table>", "HTML"),
        (b"\xef\xbb\xbf<?xml version=\"1.0\"?>", "XML"),
        (b"\n[\n{\"city\": \"Rome\"}]", "JSON"),
        (b"{\"city\": \"Rome\"}\n", "JSON"),
        (b"\xff\xfe<\0h\0t\0m\0l\0>\0", "HTML"),
        (b"c\0i\0t\0y\0,\0l\0a\0t\0\n\0", "UTF-16 without"),
        (b"\xff\xfe\0\0c\0\0\0", "UTF-32"),
    ] {
        let refusal = refused(bytes);
        assert!(refusal.detail.contains(name), "{refusal}");
        assert_eq!(refusal.kind, RefusalKind::NotATable, "{refusal}");
        assert!(!refusal.detail.contains(char::is_control), "{refusal:?}");
    }
    // Names may begin like a format.
    assert_eq!(found(b"RIFFA\nORCHA\nBZhets\n").header, ["city"]);
    assert_eq!(found(b"ID;Place;Population\n").columns.delimiter, b';');
}

#[test]
fn a_line_that_is_one_quoted_cell_is_unwrapped() {
    let plain = found(b"\"city,country,lat,lon\"\n\"A,FR,1,2\"\n");
    assert_eq!((plain.columns.wrapped, plain.columns.delimiter), (Some(NO_DELIMITER), b','));
    let padded = found(b"\"city;lat;lon\",,\n\"A;1;2\",,\n");
    assert_eq!((padded.columns.wrapped, padded.columns.delimiter), (Some(b','), b';'));
}

#[test]
fn utf16_starts_behind_its_header() {
    let text = "\u{feff}city\tlat\r\nØ\t1\r\n";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (bytes, order) in [(little, ByteOrder::Little), (big, ByteOrder::Big)] {
        let shape = found(&bytes);
        assert_eq!((shape.columns.utf16, shape.columns.delimiter), (Some(order), b'\t'));
        // The line feed after the CR that ends the header belongs to the next record.
        assert_eq!(shape.start, 2 * "\u{feff}city\tlat\r".encode_utf16().count() as u64);
    }
}

#[test]
fn the_dump_of_geonames_needs_no_header() {
    let line = "456172\tRiga\tRiga\tRiga,R\u{12b}ga\t56.946\t24.10589\tP\tPPLA\tLV\t\t25\t\t\t\t742572\t\t10\tEurope/Riga\t2026-01-01\n";
    let shape = found(line.as_bytes());
    assert_eq!((shape.start, shape.columns.unquoted), (0, true));
    let other = line.replace("56.946", "north");
    assert_eq!(refused(other.as_bytes()).kind, RefusalKind::NoHeader);
}

#[test]
fn empty_files_are_refused() {
    for bytes in [&b""[..], b"\xef\xbb\xbf\n \r\n", b",,,\n"] {
        assert!(refused(bytes).detail.contains("is empty"), "{bytes:?}");
    }
}
