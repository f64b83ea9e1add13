//! Vector operators: all of them are refused here, each by its name.

use wasmparser::VisitSimdOperator;

use super::Translator;

macro_rules! refuse_operators {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident $ann:tt)*) => {
        $(
            fn $visit(&mut self $($(, $arg: $argty)*)?) -> Self::Output {
                $($( let _ = $arg; )*)?
                match self.reachable {
                    true => Err(self.unsupported_operator(stringify!($visit))),
                    false => Ok(()),
                }
            }
        )*
    };
}

impl<'a> VisitSimdOperator<'a> for Translator<'_> {
    wasmparser::for_each_visit_simd_operator!(refuse_operators);
}
