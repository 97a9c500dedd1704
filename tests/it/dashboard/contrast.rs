//! Contrast, computed from the colours that `page.css` names: WCAG 2.2, level AA.
//!
//! Text needs 4.5 to 1 on whatever it stands on; the edges of controls and the parts of bars need
//! 3 to 1. Both themes are looked at, and both must name the same colours.

use std::collections::BTreeMap;
use std::path::Path;

/// Colours of text, and of the marks beside it.
const TEXT: [&str; 6] = ["ink", "dim", "good", "warn", "bad", "accent"];
/// What text stands on.
const GROUNDS: [&str; 2] = ["panel", "ground"];
const TEXT_CONTRAST: f64 = 4.5;
const SHAPE_CONTRAST: f64 = 3.0;

#[test]
fn text_and_shapes_stand_out_in_both_themes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("api/assets/page.css");
    let css = std::fs::read_to_string(path).expect("the styles");
    let [light, dark] = themes(&css);
    assert!(light.keys().eq(dark.keys()), "{light:?} {dark:?}");
    let text = TEXT.iter().flat_map(|text| GROUNDS.map(|ground| (*text, ground, TEXT_CONTRAST)));
    // What is said at the lower edge is the other way round.
    let text = text.chain([("panel", "ink", TEXT_CONTRAST)]);
    let bars = ["accent", "bad", "warn", "skip"].map(|part| (part, "track", SHAPE_CONTRAST));
    let edges = GROUNDS.map(|ground| ("edge", ground, SHAPE_CONTRAST));
    for (front, back, least) in text.chain(bars).chain(edges) {
        for theme in [&light, &dark] {
            let found = contrast(theme[front], theme[back]);
            assert!(
                found >= least,
                "{front} on {back} is {found:.2}, at least {least}: {theme:x?}"
            );
        }
    }
}

#[test]
fn contrast_is_as_its_definition_says() {
    let close = |a: f64, b: f64| (a - b).abs() < 0.01;
    assert!(close(contrast(0x00_0000, 0xff_ffff), 21.0));
    assert!(close(contrast(0x76_7676, 0xff_ffff), 4.54));
    assert!(close(contrast(0x12_3456, 0x12_3456), 1.0));
}

type Theme = BTreeMap<String, u32>;

/// The colours of the first `:root` are light, those of the second are dark.
fn themes(css: &str) -> [Theme; 2] {
    let roots = css.split(":root {").skip(1).map(|rest| rest.split('}').next().expect("a block"));
    let themes: Vec<Theme> = roots.map(colours).collect();
    themes.try_into().expect("two themes")
}

fn colours(block: &str) -> Theme {
    let named = block.split(';').filter_map(|line| {
        let (name, value) = line.trim().strip_prefix("--")?.split_once(": #")?;
        Some((name.to_owned(), u32::from_str_radix(value, 16).expect("six digits")))
    });
    named.collect()
}

fn contrast(one: u32, other: u32) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(colour: u32) -> f64 {
    let part = |shift: u32| {
        let channel = f64::from(colour >> shift & 0xff) / 255.0;
        if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
}
