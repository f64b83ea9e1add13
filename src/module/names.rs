//! The names of operators in the text format, from wasmparser's names for their visit methods.

/// The text format's name of the operator that wasmparser visits with this method:
/// `visit_i32_add` is `i32.add`.
pub(crate) fn operator_name(visit: &str) -> String {
    let name = visit.strip_prefix("visit_").unwrap_or(visit);
    // These have no namespace before a dot.
    const PLAIN: &[&str] =
        &["br", "call", "return", "throw", "try", "catch", "delegate", "rethrow"];
    match name {
        "typed_select" | "typed_select_multi" => return "select".to_string(),
        _ => {}
    }
    match name.split_once('_') {
        Some((first, rest)) if !PLAIN.contains(&first) => format!("{first}.{rest}"),
        _ => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::operator_name;

    #[test]
    fn names_are_those_of_the_text_format() {
        for (visit, name) in [
            ("visit_i32_add", "i32.add"),
            ("visit_local_get", "local.get"),
            ("visit_i32_trunc_sat_f32_s", "i32.trunc_sat_f32_s"),
            ("visit_br_if", "br_if"),
            ("visit_call_indirect", "call_indirect"),
            ("visit_nop", "nop"),
            ("visit_typed_select", "select"),
            ("visit_v128_load8_splat", "v128.load8_splat"),
            ("visit_ref_is_null", "ref.is_null"),
        ] {
            assert_eq!(operator_name(visit), name);
        }
    }
}
