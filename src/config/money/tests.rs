use super::*;
use proptest::prelude::*;

#[test]
fn dollars_are_read_to_the_micro_and_rounded_half_up() {
    for (text, micros) in [
        ("0", 0),
        ("0.0", 0),
        ("1", 1_000_000),
        ("0.000123", 123),
        ("+1.5", 1_500_000),
        (".5", 500_000),
        ("5.", 5_000_000),
        ("1.2e-05", 12),
        ("1.2E+2", 120_000_000),
        ("0.0000004999", 0),
        ("0.0000005", 1),
        ("0.0000014999999999999999999999999999999999999999", 1),
        (
            "0.00012345678901234567890123456789012345678901234567890",
            123,
        ),
        ("1e-400", 0),
        ("0e400", 0),
        (
            "000000000000000000000000000000000000000000000001.5",
            1_500_000,
        ),
    ] {
        assert_eq!(Micros::of_dollars(text), Some(Micros(micros)), "{text}");
    }
    for text in [
        "",
        "-1",
        "-0",
        ".",
        "e5",
        "1e",
        "1e5.0",
        "NaN",
        "nan",
        "inf",
        "Infinity",
        "1,5",
        "1 ",
        " 1",
        "0x10",
        "١",
        "1e400",
        "1e99999999999999999999",
        "--1",
        "+-1",
        "1_000",
        "1.2.3",
        "99999999999999999999999999999999999999999999",
    ] {
        assert_eq!(Micros::of_dollars(text), None, "{text}");
    }
}

#[test]
fn money_shows_as_dollars() {
    assert_eq!(Micros(0).to_string(), "0.000000");
    assert_eq!(Micros(123).to_string(), "0.000123");
    assert_eq!(Micros(666_400).to_string(), "0.666400");
    assert_eq!(Micros(u64::MAX).to_string(), "18446744073709.551615");
    assert_eq!(Micros(u64::MAX).plus(Micros(1)), Micros(u64::MAX));
}

#[test]
fn a_price_is_what_is_written() {
    for (text, shown) in [
        ("0", "0"),
        ("0.2288", "0.2288"),
        ("0.0028", "0.0028"),
        ("15", "15"),
        ("75.50", "75.5"),
        ("1e-3", "0.001"),
        ("0.000000001", "0.000000001"),
        ("1000000", "1000000"),
    ] {
        assert_eq!(Amount::parse(text).unwrap().to_string(), shown, "{text}");
    }
    for (text, problem) in [
        ("-1", Amount::RANGE),
        ("-0.1", Amount::RANGE),
        ("1000000.000000001", Amount::RANGE),
        ("1e400", Amount::RANGE),
        ("0.0000000001", "has more than nine digits after the point"),
        ("1e-400", "has more than nine digits after the point"),
        (".nan", "is not a number such as `0.27`"),
        ("-.inf", "is not a number such as `0.27`"),
        ("free", "is not a number such as `0.27`"),
        ("$1", "is not a number such as `0.27`"),
    ] {
        assert_eq!(Amount::parse(text).unwrap_err(), problem, "{text}");
    }
}

#[test]
fn rates_are_exact_both_ways() {
    let rate = |text: &str| Rate::parse(text).unwrap();
    let price = |text: &str| Amount::parse(text).unwrap();
    let three = rate("7.3").price(price("3"));
    assert_eq!(three.to_string(), "21.9");
    assert_eq!(rate("0.137").price(price("4")).to_string(), "0.548");
    assert_eq!(rate("7.3").inverse().price(price("7.3")).to_string(), "1");
    assert_eq!(rate("7.3").inverse().inverse(), rate("7.300"));
    for wrong in [
        "0",
        "-7.3",
        "0.0000001",
        "1000001",
        "x",
        "",
        ".inf",
        "7.0000000001",
    ] {
        assert!(Rate::parse(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn what_is_shown_is_read_as_the_same(billionths in 0..=Amount::MOST, micros: u64) {
        let amount = Amount(billionths);
        prop_assert_eq!(Amount::parse(&amount.to_string()), Ok(amount));
        let money = Micros(micros);
        prop_assert_eq!(Micros::of_dollars(&money.to_string()), Some(money));
        let mut written = Vec::new();
        money.write(&mut written);
        prop_assert_eq!(String::from_utf8(written).unwrap(), money.to_string());
    }

    #[test]
    fn anything_is_read_or_refused(text in "[-+]?[0-9.e+-]{0,60}|\\PC{0,20}") {
        let _ = (Micros::of_dollars(&text), Amount::parse(&text), Rate::parse(&text));
    }
}
