//! Units as devices and people write them, in UCUM.
//!
//! What is a UCUM code already stays as it is, unless everybody but UCUM means something else by it: `C` is a coulomb there, `F` a
//! farad. Compound units are read part by part (`mL/hr`). Source of the codes: UCUM 2.2, tables 1 to 5.

use std::borrow::Cow;

/// Whole units that are not what they would be part by part.
const WHOLE: &[(&str, &str)] = &[
    ("%rh", "%"),
    ("% rh", "%"),
    ("rh%", "%"),
    ("pct", "%"),
    ("percent", "%"),
    ("per cent", "%"),
    ("percentage", "%"),
    ("bpm", "/min"),
    ("beats per minute", "/min"),
    ("breaths per minute", "/min"),
    ("brpm", "/min"),
    ("rpm", "/min"),
    ("per minute", "/min"),
    ("min^-1", "/min"),
    ("min⁻¹", "/min"),
    ("mmhg", "mm[Hg]"),
    ("mm hg", "mm[Hg]"),
    ("torr", "mm[Hg]"),
    ("cmh2o", "cm[H2O]"),
    ("cm h2o", "cm[H2O]"),
    ("cmh₂o", "cm[H2O]"),
    ("inhg", "[in_i'Hg]"),
    ("psi", "[psi]"),
    ("gal", "[gal_us]"),
    ("gpm", "[gal_us]/min"),
    ("btu", "[Btu]"),
    ("millibar", "mbar"),
    ("millibars", "mbar"),
    ("lpm", "L/min"),
    ("slpm", "L/min"),
    ("kmh", "km/h"),
    ("kmph", "km/h"),
    ("knots", "[kn_i]"),
    ("knot", "[kn_i]"),
    ("ppm", "[ppm]"),
    ("ppb", "[ppb]"),
    ("mg%", "mg/dL"),
    ("iu", "[IU]"),
    ("miu", "m[IU]"),
    ("lux", "lx"),
    ("kwh", "kW.h"),
    ("va", "V.A"),
    ("kva", "kV.A"),
    ("ma·h", "mA.h"),
    ("k/ul", "10*3/uL"),
    ("thou/ul", "10*3/uL"),
    ("x10^3/ul", "10*3/uL"),
    ("x10e3/ul", "10*3/uL"),
    ("10^3/ul", "10*3/uL"),
    ("10e3/ul", "10*3/uL"),
    ("10³/ul", "10*3/uL"),
    ("x10^9/l", "10*9/L"),
    ("x10e9/l", "10*9/L"),
    ("10^9/l", "10*9/L"),
    ("10e9/l", "10*9/L"),
    ("10⁹/l", "10*9/L"),
    ("m/s^2", "m/s2"),
    ("m/s²", "m/s2"),
    ("kg/m^2", "kg/m2"),
    ("kg/m²", "kg/m2"),
];

/// The same where it matters how they are written.
const EXACT: &[(&str, &str)] = &[
    ("C", "Cel"),
    ("°C", "Cel"),
    ("℃", "Cel"),
    ("ºC", "Cel"),
    ("F", "[degF]"),
    ("°F", "[degF]"),
    ("℉", "[degF]"),
    ("ºF", "[degF]"),
    ("°", "deg"),
    ("°K", "K"),
    ("Wh", "W.h"),
    ("Ah", "A.h"),
    ("mAh", "mA.h"),
    ("in", "[in_i]"),
    ("″", "[in_i]"),
    ("oz", "[oz_av]"),
    ("cc", "mL"),
    // Not a millionth of a phot, a tonne, a day, a henry.
    ("mph", "[mi_i]/h"),
    ("kph", "km/h"),
    ("ft", "[ft_i]"),
    ("yd", "[yd_i]"),
    ("pH", "[pH]"),
    ("mM", "mmol/L"),
    ("uM", "umol/L"),
    ("µM", "umol/L"),
    ("nM", "nmol/L"),
    // A kelvin is none of them.
    ("K/uL", "10*3/uL"),
    ("K/µL", "10*3/uL"),
    ("K/μL", "10*3/uL"),
];

/// Parts of units, and units of one part, however they are written.
const PARTS: &[(&str, &str)] = &[
    ("celsius", "Cel"),
    ("degc", "Cel"),
    ("deg c", "Cel"),
    ("degrees c", "Cel"),
    ("degrees celsius", "Cel"),
    ("degree celsius", "Cel"),
    ("° c", "Cel"),
    ("centigrade", "Cel"),
    ("fahrenheit", "[degF]"),
    ("degf", "[degF]"),
    ("deg f", "[degF]"),
    ("degrees f", "[degF]"),
    ("degrees fahrenheit", "[degF]"),
    ("degree fahrenheit", "[degF]"),
    ("° f", "[degF]"),
    ("kelvin", "K"),
    ("degrees", "deg"),
    ("degree", "deg"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("msec", "ms"),
    ("millisecond", "ms"),
    ("milliseconds", "ms"),
    ("mins", "min"),
    ("minute", "min"),
    ("minutes", "min"),
    ("hr", "h"),
    ("hrs", "h"),
    ("hour", "h"),
    ("hours", "h"),
    ("day", "d"),
    ("days", "d"),
    ("yr", "a"),
    ("year", "a"),
    ("years", "a"),
    ("month", "mo"),
    ("months", "mo"),
    ("week", "wk"),
    ("weeks", "wk"),
    ("lb", "[lb_av]"),
    ("lbs", "[lb_av]"),
    ("pound", "[lb_av]"),
    ("pounds", "[lb_av]"),
    ("ounce", "[oz_av]"),
    ("ounces", "[oz_av]"),
    ("kgs", "kg"),
    ("kilogram", "kg"),
    ("kilograms", "kg"),
    ("gram", "g"),
    ("grams", "g"),
    ("gm", "g"),
    ("milligram", "mg"),
    ("milligrams", "mg"),
    ("mcg", "ug"),
    ("microgram", "ug"),
    ("micrograms", "ug"),
    ("liter", "L"),
    ("liters", "L"),
    ("litre", "L"),
    ("litres", "L"),
    ("milliliter", "mL"),
    ("milliliters", "mL"),
    ("millilitre", "mL"),
    ("millilitres", "mL"),
    ("ccm", "mL"),
    ("inch", "[in_i]"),
    ("inches", "[in_i]"),
    ("foot", "[ft_i]"),
    ("feet", "[ft_i]"),
    ("ft", "[ft_i]"),
    ("mile", "[mi_i]"),
    ("miles", "[mi_i]"),
    ("meter", "m"),
    ("meters", "m"),
    ("metre", "m"),
    ("metres", "m"),
    ("centimeter", "cm"),
    ("centimeters", "cm"),
    ("centimetre", "cm"),
    ("centimetres", "cm"),
    ("m³", "m3"),
    ("m^3", "m3"),
    ("m²", "m2"),
    ("m^2", "m2"),
    ("watt", "W"),
    ("watts", "W"),
    ("volt", "V"),
    ("volts", "V"),
    ("amp", "A"),
    ("amps", "A"),
    ("ampere", "A"),
    ("hertz", "Hz"),
    ("pascal", "Pa"),
    ("pascals", "Pa"),
    ("lumen", "lm"),
    ("ul", "uL"),
    ("ml", "mL"),
    ("dl", "dL"),
    ("iu", "[IU]"),
    ("miu", "m[IU]"),
    ("mmhg", "mm[Hg]"),
    ("meq", "meq"),
    ("beat", "{beats}"),
    ("beats", "{beats}"),
    ("breath", "{breaths}"),
    ("breaths", "{breaths}"),
    ("count", "{count}"),
    ("counts", "{count}"),
    ("step", "{steps}"),
    ("steps", "{steps}"),
    ("score", "{score}"),
    ("point", "{score}"),
    ("points", "{score}"),
    ("pts", "{score}"),
];

/// The UCUM code of a unit by a known spelling; `is_ucum` says what is a code already.
pub(super) fn ucum(given: &str, is_ucum: impl Fn(&str) -> bool) -> Cow<'_, str> {
    let unit = given.trim();
    if let Some(code) = find(EXACT, unit) {
        return code.into();
    }
    if is_ucum(unit) {
        return Cow::Borrowed(unit);
    }
    let lower = plain(unit);
    if let Some(code) = find(WHOLE, &lower).or_else(|| find(PARTS, &lower)) {
        return code.into();
    }
    let parts: Vec<Cow<'_, str>> = unit.split('/').map(part).collect();
    let joined = parts.join("/");
    if is_ucum(&joined) { joined.into() } else { Cow::Borrowed(given) }
}

/// One part of a compound unit.
fn part(part: &str) -> Cow<'_, str> {
    let part = part.trim();
    match find(EXACT, part).or_else(|| find(PARTS, &plain(part))) {
        Some(code) => Cow::Borrowed(code),
        None => part.replace(['µ', 'μ'], "u").into(),
    }
}

/// In lower case, with one sign for "micro".
fn plain(unit: &str) -> String {
    unit.to_lowercase().replace(['µ', 'μ'], "u")
}

fn find(table: &'static [(&str, &str)], unit: &str) -> Option<&'static str> {
    table.iter().find(|(own, _)| *own == unit).map(|(_, code)| *code)
}
