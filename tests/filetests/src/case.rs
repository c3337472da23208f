//! A test file: header lines and the text they are about.

/// A test file in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Lines that begin with `;`, without the `;`, trimmed.
    pub header: Vec<String>,
    /// The rest, beginning at its first line that is not blank.
    pub body: String,
}

impl Case {
    /// Splits the text of a file.
    pub fn read(text: &str) -> Case {
        let header: Vec<String> =
            text.lines().map_while(|line| line.strip_prefix(';')).map(|line| line.trim().to_string()).collect();
        let rest: Vec<&str> = text.lines().skip(header.len()).skip_while(|line| line.trim().is_empty()).collect();
        let body = if rest.is_empty() { String::new() } else { rest.join("\n") + "\n" };
        Case { header, body }
    }

    /// The text of the file.
    pub fn write(&self) -> String {
        let header: String = self.header.iter().map(|line| format!("; {line}\n")).collect();
        format!("{header}\n{}", self.body)
    }

    /// Names of the commands to run.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.header.iter().filter_map(|line| line.strip_prefix("test ")).map(str::trim)
    }

    /// The case with the header lines of a prefix replaced.
    pub fn with_lines(&self, prefix: &str, lines: impl IntoIterator<Item = String>) -> Case {
        let mut out = self.clone();
        out.header.retain(|line| !line.starts_with(prefix));
        out.header.extend(lines.into_iter().map(|line| format!("{prefix}{line}")));
        out
    }
}
