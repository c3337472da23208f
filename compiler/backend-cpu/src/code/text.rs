//! Text of codes: `gemm batch [0 0, 1 none] rows 1 k 2 packed result [1] 2`, `conv groups 1 kernel [1, 3, 3] strides
//! [1, 1, 1] dilations [1, 1, 1]`, `softmax log`.

use graph::text::ParseError;
use graph::text::cursor::Cursor;
use plan::text::CodeText;

use crate::code::{
    CellCode, ConvCode, ConvKind, CpuCode, GemmB, GemmCode, NmsCode, PlainCell, PoolMode, RecurrentCode, RowsCode,
    WindowCode,
};

impl CodeText for CpuCode {
    fn print(&self) -> String {
        match self {
            CpuCode::Gemm(gemm) => print_gemm(gemm),
            CpuCode::Conv(ConvCode { kind, groups, kernel, strides, dilations }) => {
                let window = print_sizes([kernel, strides, dilations]);
                let kind = match kind {
                    ConvKind::Blocks => "",
                    ConvKind::Stem => " stem",
                    ConvKind::Transposed => " transposed",
                };
                format!("conv{kind} groups {groups} {window}")
            }
            CpuCode::Depthwise(window) => format!("depthwise {}", print_window(window)),
            CpuCode::Pool { window, mode: PoolMode::Max } => format!("maxpool {}", print_window(window)),
            CpuCode::Pool { window, mode: PoolMode::Average { count_padding } } => {
                format!("averagepool{} {}", flag(*count_padding, " padded"), print_window(window))
            }
            CpuCode::Rows(RowsCode::Softmax { log }) => format!("softmax{}", flag(*log, " log")),
            CpuCode::Rows(RowsCode::Norm { center, eps }) => format!("norm{} eps {eps}", flag(*center, " center")),
            CpuCode::Recurrent(code) => print_recurrent(code),
            CpuCode::Nms(NmsCode { centered, floor }) => {
                format!("nms{}{}", flag(*centered, " centered"), flag(*floor, " floor"))
            }
        }
    }

    fn parse(c: &mut Cursor<'_>) -> Result<CpuCode, ParseError> {
        const EXPECTED: &str = "code of the CPU (`gemm`, `conv`, `depthwise`, `maxpool`, `averagepool`, `softmax`, `norm`, \
                                `recurrent` or `nms`)";
        let pos = c.pos();
        match c.word(EXPECTED)? {
            "gemm" => parse_gemm(c).map(CpuCode::Gemm),
            "conv" => {
                let kind = match (c.take_keyword("stem"), c.take_keyword("transposed")) {
                    (true, _) => ConvKind::Stem,
                    (false, true) => ConvKind::Transposed,
                    (false, false) => ConvKind::Blocks,
                };
                c.keyword("groups")?;
                let groups = c.integer("groups")?;
                let [kernel, strides, dilations] = parse_sizes(c)?;
                Ok(CpuCode::Conv(ConvCode { kind, groups, kernel, strides, dilations }))
            }
            "depthwise" => parse_window(c).map(CpuCode::Depthwise),
            "maxpool" => Ok(CpuCode::Pool { window: parse_window(c)?, mode: PoolMode::Max }),
            "averagepool" => {
                let count_padding = c.take_keyword("padded");
                Ok(CpuCode::Pool { window: parse_window(c)?, mode: PoolMode::Average { count_padding } })
            }
            "softmax" => Ok(CpuCode::Rows(RowsCode::Softmax { log: c.take_keyword("log") })),
            "norm" => {
                let center = c.take_keyword("center");
                c.keyword("eps")?;
                Ok(CpuCode::Rows(RowsCode::Norm { center, eps: c.integer("bits of eps")? }))
            }
            "recurrent" => parse_recurrent(c).map(CpuCode::Recurrent),
            "nms" => Ok(CpuCode::Nms(NmsCode { centered: c.take_keyword("centered"), floor: c.take_keyword("floor") })),
            other => {
                let (expected, found) = (EXPECTED.to_string(), format!("`{other}`"));
                Err(pos.error(graph::text::ParseErrorKind::Expected { expected, found }))
            }
        }
    }
}

fn flag(set: bool, word: &str) -> &str {
    if set { word } else { "" }
}

fn print_window(window: &WindowCode) -> String {
    print_sizes([&window.kernel, &window.strides, &window.dilations])
}

fn print_sizes<const N: usize>([kernel, strides, dilations]: [&[i64; N]; 3]) -> String {
    format!("kernel {kernel:?} strides {strides:?} dilations {dilations:?}")
}

fn parse_window(c: &mut Cursor<'_>) -> Result<WindowCode, ParseError> {
    let [kernel, strides, dilations] = parse_sizes(c)?;
    Ok(WindowCode { kernel, strides, dilations })
}

fn parse_sizes<const N: usize>(c: &mut Cursor<'_>) -> Result<[[i64; N]; 3], ParseError> {
    let mut out = [[0; N]; 3];
    for (word, sizes) in ["kernel", "strides", "dilations"].into_iter().zip(&mut out) {
        c.keyword(word)?;
        c.mark("[")?;
        for (k, size) in sizes.iter_mut().enumerate() {
            if k > 0 {
                c.mark(",")?;
            }
            *size = c.integer(word)?;
        }
        c.mark("]")?;
    }
    Ok(out)
}

fn print_gemm(gemm: &GemmCode) -> String {
    let GemmCode { batch, a_row, a_k, b, result_rows, result_column } = gemm;
    let dim = |d: &Option<usize>| d.map_or("none".to_string(), |d| d.to_string());
    let batch: Vec<String> = batch.iter().map(|(a, b)| format!("{} {}", dim(a), dim(b))).collect();
    let b = match b {
        GemmB::Packed => "packed".to_string(),
        GemmB::Strided { k, n } => format!("strided {k} {n}"),
    };
    let batch = batch.join(", ");
    format!("gemm batch [{batch}] rows {} k {a_k} {b} result {result_rows:?} {result_column}", dim(a_row))
}

fn parse_gemm(c: &mut Cursor<'_>) -> Result<GemmCode, ParseError> {
    let dim = |c: &mut Cursor<'_>| if c.take_keyword("none") { Ok(None) } else { c.integer("dim").map(Some) };
    c.keyword("batch")?;
    let batch = c.list("[", "]", |c| Ok((dim(c)?, dim(c)?)))?;
    c.keyword("rows")?;
    let a_row = dim(c)?;
    c.keyword("k")?;
    let a_k = c.integer("dim")?;
    let b = if c.take_keyword("strided") {
        GemmB::Strided { k: c.integer("dim")?, n: c.integer("dim")? }
    } else {
        c.keyword("packed")?;
        GemmB::Packed
    };
    c.keyword("result")?;
    let result_rows = c.list("[", "]", |c| c.integer("dim"))?;
    Ok(GemmCode { batch, a_row, a_k, b, result_rows, result_column: c.integer("dim")? })
}

fn print_recurrent(code: &RecurrentCode) -> String {
    let RecurrentCode { cell, clip, lengths } = code;
    let cell = match cell {
        CellCode::Lstm { input_forget, peepholes } => {
            format!("lstm{}{}", flag(*input_forget, " tied"), flag(*peepholes, " peepholes"))
        }
        CellCode::Gru { linear_before_reset, bias } => {
            format!("gru{}{}", flag(*linear_before_reset, " linear"), flag(*bias, " bias"))
        }
        CellCode::Plain(PlainCell::Tanh) => "tanh".to_string(),
        CellCode::Plain(PlainCell::Relu) => "relu".to_string(),
        CellCode::Plain(PlainCell::Sigmoid) => "sigmoid".to_string(),
    };
    let clip = clip.map_or(String::new(), |bits| format!(" clip {bits}"));
    format!("recurrent {cell}{clip}{}", flag(*lengths, " lengths"))
}

fn parse_recurrent(c: &mut Cursor<'_>) -> Result<RecurrentCode, ParseError> {
    const EXPECTED: &str = "a cell (`lstm`, `gru`, `tanh`, `relu` or `sigmoid`)";
    let pos = c.pos();
    let cell = match c.word(EXPECTED)? {
        "lstm" => CellCode::Lstm { input_forget: c.take_keyword("tied"), peepholes: c.take_keyword("peepholes") },
        "gru" => CellCode::Gru { linear_before_reset: c.take_keyword("linear"), bias: c.take_keyword("bias") },
        "tanh" => CellCode::Plain(PlainCell::Tanh),
        "relu" => CellCode::Plain(PlainCell::Relu),
        "sigmoid" => CellCode::Plain(PlainCell::Sigmoid),
        other => {
            let (expected, found) = (EXPECTED.to_string(), format!("`{other}`"));
            return Err(pos.error(graph::text::ParseErrorKind::Expected { expected, found }));
        }
    };
    let clip = if c.take_keyword("clip") { Some(c.integer("bits of clip")?) } else { None };
    Ok(RecurrentCode { cell, clip, lengths: c.take_keyword("lengths") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text is what it prints as.
    fn check(text: &str) {
        let mut c = Cursor::new(text).unwrap();
        let code = CpuCode::parse(&mut c).unwrap();
        c.end().unwrap();
        assert_eq!(code.print(), text);
        assert_eq!(CpuCode::parse(&mut Cursor::new(&code.print()).unwrap()), Ok(code));
    }

    #[test]
    fn every_code_survives() {
        check("gemm batch [0 0, 1 none, none 2] rows 1 k 2 packed result [0, 1] 2");
        check("gemm batch [] rows none k 1 strided 0 1 result [] 0");
        check("conv stem groups 1 kernel [1, 7, 7] strides [1, 2, 2] dilations [1, 1, 1]");
        check("conv groups 4 kernel [3, 3, 1] strides [2, 1, 1] dilations [1, 2, 1]");
        check("conv transposed groups 1 kernel [1, 2, 2] strides [1, 2, 2] dilations [1, 1, 1]");
        check("depthwise kernel [3, 3] strides [1, 2] dilations [1, 1]");
        check("maxpool kernel [3, 3] strides [2, 2] dilations [1, 1]");
        check("averagepool padded kernel [2, 2] strides [2, 2] dilations [1, 1]");
        check("averagepool kernel [2, 2] strides [2, 2] dilations [1, 1]");
        check("softmax");
        check("softmax log");
        check("norm center eps 925353388");
        check("norm eps 0");
        check("recurrent lstm");
        check("recurrent lstm tied peepholes clip 1077936128 lengths");
        check("recurrent gru linear bias");
        check("recurrent gru lengths");
        check("recurrent relu clip 1065353216");
        check("nms");
        check("nms centered floor");
    }

    #[test]
    fn refusals_say_what_is_known() {
        let error = CpuCode::parse(&mut Cursor::new("fft").unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("1:1: expected code of the CPU (`gemm`"), "{error}");
    }
}
