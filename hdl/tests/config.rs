//! Which configurations are refused, at the edges of what is legal.

use xnorforge_hdl::{ArrayConfig, ConfigError};

fn refused(edit: impl FnOnce(&mut ArrayConfig)) -> Option<ConfigError> {
    let mut config = ArrayConfig::preset("tiny").unwrap();
    edit(&mut config);
    config.validate().err()
}

#[test]
fn constant_entries_are_a_power_of_two_within_their_range() {
    for entries in [2, 4, 256] {
        assert_eq!(refused(|c| c.constant_entries = entries), None, "{entries}");
    }
    for entries in [0, 1, 3, 6, 255, 257, 512] {
        let error = refused(|c| c.constant_entries = entries);
        assert!(
            matches!(error, Some(ConfigError::ConstantEntries { value, .. }) if value == entries),
            "{entries}: {error:?}"
        );
    }
}

#[test]
fn fields_that_are_left_out_are_those_of_small() {
    assert_eq!(
        ArrayConfig::from_toml("").unwrap(),
        ArrayConfig::preset("small").unwrap()
    );
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let error = ArrayConfig::from_toml("rows = 1\n\ncolums = 2\n").unwrap_err();
    let text = error.to_string();
    assert!(text.contains("line 3") && text.contains("colums"), "{text}");
}

#[test]
fn ports_are_as_wide_as_65536_bits() {
    let wide = |rows| refused(|c| (c.rows, c.lanes) = (rows, 1024));
    assert_eq!(wide(64), None);
    let error = wide(65);
    assert!(
        matches!(error, Some(ConfigError::PortTooWide { bits: 66_560, .. })),
        "{error:?}"
    );
}

#[test]
fn no_more_branches_than_bits() {
    assert_eq!(refused(|c| c.activation_branches = 2), None);
    let error = refused(|c| c.activation_branches = 4);
    assert!(
        matches!(
            error,
            Some(ConfigError::BranchesDoNotFit {
                value: 4,
                bits: 2,
                ..
            })
        ),
        "{error:?}"
    );
}
