package config

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parseProperties reads Java's properties syntax: key and value are parted by '=', ':' or white space,
// '#' and '!' start comments, a backslash at the end of a line continues it, and \t \n \f \r \uXXXX
// are escapes. Unlike Java, bytes are UTF-8 and not ISO-8859-1. A later line wins over an earlier one.
func parseProperties(data []byte) (map[string]string, error) {
	props := map[string]string{}
	for _, line := range logicalLines(string(data)) {
		rawKey, rawValue := splitProperty(line)
		key, err := unescape(rawKey)
		if err != nil {
			return nil, err
		}
		value, err := unescape(rawValue)
		if err != nil {
			return nil, err
		}
		props[key] = value
	}
	return props, nil
}

const propertySpace = " \t\f"

// logicalLines joins continued lines and drops blank ones and comments.
func logicalLines(text string) (lines []string) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	joined, continued := "", false
	for natural := range strings.SplitSeq(text, "\n") {
		natural = strings.TrimLeft(natural, propertySpace)
		if !continued && (natural == "" || natural[0] == '#' || natural[0] == '!') {
			continue
		}
		kept := strings.TrimRight(natural, `\`)
		slashes := len(natural) - len(kept)
		continued = slashes%2 == 1
		if continued {
			joined += natural[:len(natural)-1]
			continue
		}
		lines = append(lines, joined+natural)
		joined = ""
	}
	if continued && joined != "" {
		lines = append(lines, joined)
	}
	return lines
}

// splitProperty finds the first separator that no backslash escapes.
func splitProperty(line string) (key, value string) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=: \t\f", rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	rest := strings.TrimLeft(line[end:], propertySpace)
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], propertySpace)
	}
	return line[:end], rest
}

var escapes = map[byte]byte{'t': '\t', 'n': '\n', 'r': '\r', 'f': '\f'}

func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\':
			b.WriteByte(s[i])
		case i+1 == len(s): // a lone backslash at the end of the file
		case s[i+1] == 'u':
			r, n, err := unescapeUnicode(s[i:])
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
			i += n - 1
		default:
			i++
			if c, ok := escapes[s[i]]; ok {
				b.WriteByte(c)
			} else {
				b.WriteByte(s[i])
			}
		}
	}
	return b.String(), nil
}

// unescapeUnicode reads one \uXXXX, or two that are a surrogate pair; n is the bytes that were read.
func unescapeUnicode(s string) (r rune, n int, err error) {
	unit := func(s string) (rune, bool) {
		if len(s) < 6 || s[:2] != `\u` {
			return 0, false
		}
		v, err := strconv.ParseUint(s[2:6], 16, 16)
		return rune(v), err == nil
	}
	high, ok := unit(s)
	if !ok {
		return 0, 0, &Error{Text: `Malformed \uxxxx encoding.`}
	}
	if low, ok := unit(s[6:]); ok && utf16.IsSurrogate(high) {
		if pair := utf16.DecodeRune(high, low); pair != utf8.RuneError {
			return pair, 12, nil
		}
	}
	return high, 6, nil
}
