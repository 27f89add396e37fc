//! Quoted strings.

/// The text of a string in double, single or back quotes, with Go's escapes in the first two.
pub(super) fn unquote(quoted: &str) -> Result<String, String> {
    let mut chars = quoted.chars();
    let quote = chars.next().ok_or("invalid syntax")?;
    if !matches!(quote, '"' | '\'' | '`') || quoted.len() < 2 || !quoted.ends_with(quote) {
        return Err("invalid syntax".to_owned());
    }
    let body = &quoted[1..quoted.len() - 1];
    if quote == '`' {
        return Ok(body.replace('\r', ""));
    }
    if !body.contains('\\') {
        return Ok(body.to_owned());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = rest.next().ok_or("escape sequence not terminated")?;
        match escape {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(11),
            '\\' => out.push(b'\\'),
            '"' | '\'' if escape == quote => out.push(escape as u8),
            'x' => {
                out.push(u8::try_from(digits(&mut rest, None, 2, 16)?).map_err(|_| "escape sequence is out of range")?)
            }
            '0'..='7' => {
                let value = digits(&mut rest, Some(escape), 3, 8)?;
                out.push(u8::try_from(value).map_err(|_| "octal escape value > 255".to_owned())?);
            }
            'u' | 'U' => {
                let count = if escape == 'u' { 4 } else { 8 };
                let value = digits(&mut rest, None, count, 16)?;
                let c = char::from_u32(value).ok_or("escape sequence is an invalid Unicode code point")?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            c => return Err(format!("unknown escape sequence U+{:04X} '{c}'", c as u32)),
        }
    }
    // Label values and names are UTF-8: an escape may not break it.
    String::from_utf8(out).map_err(|_| "invalid UTF-8 rune".to_owned())
}

fn digits(rest: &mut std::str::Chars<'_>, first: Option<char>, count: usize, radix: u32) -> Result<u32, String> {
    let mut value = 0u32;
    let mut taken = 0;
    for c in first.into_iter().chain(rest.by_ref().take(count - usize::from(first.is_some()))) {
        let digit = c
            .to_digit(radix)
            .ok_or_else(|| format!("unknown escape sequence U+{:04X} '{c}' in escape sequence", c as u32))?;
        value = value.wrapping_mul(radix).wrapping_add(digit);
        taken += 1;
    }
    if taken < count { Err("escape sequence not terminated".to_owned()) } else { Ok(value) }
}
