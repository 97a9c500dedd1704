//! A scrape as text, taken apart.

use std::collections::{BTreeMap, BTreeSet};

/// What one scrape holds.
#[derive(Debug, Default)]
pub struct Scrape {
    /// Kind and meaning of each family.
    pub families: BTreeMap<String, (String, String)>,
    pub series: Vec<Series>,
}

#[derive(Debug)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Scrape {
    pub fn read(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a meaning");
                scrape.families.entry(name.to_owned()).or_default().1.push_str(help);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a kind");
                scrape.families.entry(name.to_owned()).or_default().0.push_str(kind);
            } else {
                scrape.series.push(Series::read(line));
            }
        }
        scrape
    }

    /// The value of the one series with these labels among others; none if there is none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |series: &&Series| {
            series.name == name
                && labels
                    .iter()
                    .all(|(label, value)| series.labels.get(*label).is_some_and(|is| is == value))
        };
        let mut found = self.series.iter().filter(fits);
        let value = found.next()?.value;
        assert!(found.next().is_none(), "more than one {name} has {labels:?}");
        Some(value)
    }

    /// The names of a family's labels, but for a histogram's buckets.
    pub fn labels_of(&self, family: &str) -> BTreeSet<&str> {
        let belongs = |name: &str| {
            name.strip_prefix(family)
                .is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
        };
        self.series
            .iter()
            .filter(|series| belongs(&series.name))
            .flat_map(|series| series.labels.keys().map(String::as_str))
            .filter(|label| *label != "le")
            .collect()
    }
}

impl Series {
    fn read(line: &str) -> Self {
        let (named, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = named.split_once('{').unwrap_or((named, "}"));
        // No label of ours holds a quote or a comma.
        let labels = labels.strip_suffix('}').expect("labels end").split(',').filter_map(|pair| {
            let (label, value) = pair.split_once('=')?;
            Some((label.to_owned(), value.trim_matches('"').to_owned()))
        });
        let value = value.parse().unwrap_or_else(|_| panic!("no number in {line}"));
        Self { name: name.to_owned(), labels: labels.collect(), value }
    }
}

#[test]
fn a_scrape_is_read_as_it_is_written() {
    let scrape = Scrape::read(
        "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\",y=\"b c\"} 2\na_total{x=\"2\",y=\"\"} 3\n\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 0.5\n",
    );
    assert_eq!(scrape.value("a_total", &[("x", "1")]), Some(2.0));
    assert_eq!(scrape.value("a_total", &[("x", "3")]), None);
    assert_eq!(scrape.families["a_total"], ("counter".to_owned(), "A.".to_owned()));
    assert!(scrape.labels_of("a_total").into_iter().eq(["x", "y"]));
    assert_eq!((scrape.labels_of("h").len(), scrape.value("h_sum", &[])), (0, Some(0.5)));
}
