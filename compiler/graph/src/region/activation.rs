//! Activation functions of recurrent cells, spelled in attributes as a name and its numbers: `leaky_relu 0.01`. Not a kind.

use crate::builder::{BuildError, Point};
use crate::expr::{ExprId, UnOp};
use crate::scalar::Scalar;

/// An activation function with its constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Relu,
    Tanh,
    Sigmoid,
    Softsign,
    Softplus,
    /// `alpha * x + beta`.
    Affine(f32, f32),
    /// `x` where it is at least 0, else `alpha * x`.
    LeakyRelu(f32),
    /// `x` where it is above `alpha`, else 0.
    ThresholdedRelu(f32),
    /// `alpha * tanh(beta * x)`.
    ScaledTanh(f32, f32),
    /// `alpha * x + beta` within 0 and 1.
    HardSigmoid(f32, f32),
    /// `x` where it is at least 0, else `alpha * (exp(x) - 1)`.
    Elu(f32),
}

impl Activation {
    /// The function by its name in any case and ONNX's spelling, with as many of its constants as are given.
    pub fn from_name(name: &str, constants: &mut dyn FnMut(usize) -> Option<f32>) -> Option<Activation> {
        let plain: String = name.chars().filter(|c| *c != '_').collect::<String>().to_ascii_lowercase();
        let mut constant = |k: usize, default: f32| constants(k).unwrap_or(default);
        Some(match plain.as_str() {
            "relu" => Activation::Relu,
            "tanh" => Activation::Tanh,
            "sigmoid" => Activation::Sigmoid,
            "softsign" => Activation::Softsign,
            "softplus" => Activation::Softplus,
            "affine" => Activation::Affine(constant(0, 1.0), constant(1, 0.0)),
            "leakyrelu" => Activation::LeakyRelu(constant(0, 0.01)),
            "thresholdedrelu" => Activation::ThresholdedRelu(constant(0, 1.0)),
            "scaledtanh" => Activation::ScaledTanh(constant(0, 1.0), constant(1, 1.0)),
            "hardsigmoid" => Activation::HardSigmoid(constant(0, 0.2), constant(1, 0.5)),
            "elu" => Activation::Elu(constant(0, 1.0)),
            _ => return None,
        })
    }

    /// Spelling in attributes.
    pub fn to_text(self) -> String {
        match self {
            Activation::Relu => "relu".to_string(),
            Activation::Tanh => "tanh".to_string(),
            Activation::Sigmoid => "sigmoid".to_string(),
            Activation::Softsign => "softsign".to_string(),
            Activation::Softplus => "softplus".to_string(),
            Activation::Affine(a, b) => format!("affine {a:?} {b:?}"),
            Activation::LeakyRelu(a) => format!("leaky_relu {a:?}"),
            Activation::ThresholdedRelu(a) => format!("thresholded_relu {a:?}"),
            Activation::ScaledTanh(a, b) => format!("scaled_tanh {a:?} {b:?}"),
            Activation::HardSigmoid(a, b) => format!("hard_sigmoid {a:?} {b:?}"),
            Activation::Elu(a) => format!("elu {a:?}"),
        }
    }

    /// From the spelling in attributes.
    pub fn from_text(text: &str) -> Result<Activation, BuildError> {
        let mut words = text.split(' ');
        let name = words.next().unwrap_or_default();
        let constants: Vec<Option<f32>> = words.map(|w| w.parse().ok()).collect();
        let found = Activation::from_name(name, &mut |k| constants.get(k).copied().flatten());
        found.filter(|a| a.to_text() == text).ok_or_else(|| BuildError::Attr {
            name: "activations".to_string(),
            expected: "names of activation functions with their constants".to_string(),
            found: text.to_string(),
        })
    }

    /// The function of a float.
    pub fn apply(self, p: &mut Point<'_>, x: ExprId) -> ExprId {
        let dtype = p.dtype(x);
        let (zero, one) = (p.zero(dtype), p.number(dtype, 1.0));
        let affine = |p: &mut Point<'_>, x: ExprId, a: f32, b: f32| {
            let (a, b) = (p.constant(Scalar::f32(a)), p.constant(Scalar::f32(b)));
            let (a, b) = (p.cast(a, dtype), p.cast(b, dtype));
            let scaled = p.mul(x, a);
            p.add(scaled, b)
        };
        match self {
            Activation::Relu => p.max(x, zero),
            Activation::Tanh => p.unary(UnOp::Tanh, x),
            Activation::Sigmoid => p.unary(UnOp::Sigmoid, x),
            Activation::Softsign => {
                let size = p.unary(UnOp::Abs, x);
                let below = p.add(size, one);
                p.div(x, below)
            }
            Activation::Softplus => {
                // max(x, 0) + log1p(exp(-|x|)) does not overflow.
                let size = p.unary(UnOp::Abs, x);
                let negative = p.unary(UnOp::Neg, size);
                let power = p.unary(UnOp::Exp, negative);
                let small = p.unary(UnOp::Log1p, power);
                let large = p.max(x, zero);
                p.add(large, small)
            }
            Activation::Affine(a, b) => affine(p, x, a, b),
            Activation::LeakyRelu(a) => {
                let negative = p.lt(x, zero);
                let scaled = affine(p, x, a, 0.0);
                p.select(negative, scaled, x)
            }
            Activation::ThresholdedRelu(a) => {
                let limit = p.number(dtype, f64::from(a));
                let above = p.lt(limit, x);
                p.select(above, x, zero)
            }
            Activation::ScaledTanh(a, b) => {
                let inner = affine(p, x, b, 0.0);
                let value = p.unary(UnOp::Tanh, inner);
                affine(p, value, a, 0.0)
            }
            Activation::HardSigmoid(a, b) => {
                let value = affine(p, x, a, b);
                let value = p.max(value, zero);
                p.min(value, one)
            }
            Activation::Elu(a) => {
                let negative = p.lt(x, zero);
                let power = p.unary(UnOp::Expm1, x);
                let scaled = affine(p, power, a, 0.0);
                p.select(negative, scaled, x)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_survives_a_round_trip() {
        for activation in [Activation::Softplus, Activation::LeakyRelu(0.1), Activation::HardSigmoid(0.2, 0.5)] {
            assert_eq!(Activation::from_text(&activation.to_text()).unwrap(), activation);
        }
        assert!(Activation::from_text("leaky_relu").is_err());
        assert!(Activation::from_text("swish").is_err());
    }
}
