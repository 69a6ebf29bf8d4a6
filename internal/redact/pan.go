package redact

// span is a card number within a text: text[start:end].
type span struct{ start, end int }

// mask masks in masked the middle digits of the number that original has there.
func (c span) mask(masked []byte, original string) {
	total := 0
	for _, b := range []byte(original[c.start:c.end]) {
		if isDigit(b) {
			total++
		}
	}
	seen := 0
	for i := c.start; i < c.end; i++ {
		if !isDigit(original[i]) {
			continue
		}
		if seen >= shownFirst && seen < total-shownLast {
			masked[i] = mask
		}
		seen++
	}
}

// group is a run of digits, and whether only separators part it from the one before.
type group struct {
	span
	joined bool
}

// findCards gives every card number in text. They may overlap: of
// "1234 4111 1111 1111 1111" each row of whole groups is looked at.
func findCards(text string) []span {
	groups := digitGroups(text)
	var cards []span
	for first := range groups {
		var digits [maxDigits]byte
		count := 0
		for last := first; last < len(groups); last++ {
			g := groups[last]
			if last > first && !g.joined || count+g.end-g.start > maxDigits {
				break
			}
			count += copy(digits[count:], text[g.start:g.end])
			whole := span{groups[first].start, g.end}
			if count >= minDigits && isCard(digits[:count]) && !insideWord(text, whole) && !isOurID(text, whole) && !isUUID(text, whole) {
				cards = append(cards, whole)
			}
		}
	}
	return cards
}

// digitGroups gives nothing when there are too few digits for a card.
func digitGroups(text string) []group {
	total := 0
	for i := range len(text) {
		if isDigit(text[i]) {
			total++
		}
	}
	if total < minDigits {
		return nil
	}
	var groups []group
	separators := maxSeparators + 1 // since the last group; more than allowed if anything else came
	for i := 0; i < len(text); {
		switch b := text[i]; {
		case isDigit(b):
			start := i
			for i < len(text) && isDigit(text[i]) {
				i++
			}
			groups = append(groups, group{span{start, i}, separators <= maxSeparators})
			separators = 0
			continue
		case b == ' ' || b == '-' || b == '.':
			separators++
		default:
			separators = maxSeparators + 1
		}
		i++
	}
	return groups
}

// insideWord says whether letters touch the number on both sides, as in hashes.
func insideWord(text string, c span) bool {
	return c.start > 0 && isLetter(text[c.start-1]) && c.end < len(text) && isLetter(text[c.end])
}

// idLength is the length of our ids behind their prefix: "pay_" and 26 characters
// of lower-case base32 (design section 3).
const idLength = 26

// isOurID says whether the number is the tail or head of one of our ids.
func isOurID(text string, c span) bool {
	start, end := c.start, c.end
	for start > 0 && isIDCharacter(text[start-1]) {
		start--
	}
	for end < len(text) && isIDCharacter(text[end]) {
		end++
	}
	return end-start == idLength && start > 1 && text[start-1] == '_' && isLetter(text[start-2])
}

// uuidForm is how a UUID is written (RFC 9562): hexadecimal digits, v the version, n the
// variant.
const uuidForm = "hhhhhhhh-hhhh-vhhh-nhhh-hhhhhhhhhhhh"

// isUUID says whether the number lies within a UUID that has a letter, too. Callers
// name their requests so, and one in 3,600 has a card's digits somewhere in it.
func isUUID(text string, c span) bool {
	start, end := c.start, c.end
	for start > 0 && isUUIDCharacter(text[start-1]) {
		start--
	}
	for end < len(text) && isUUIDCharacter(text[end]) {
		end++
	}
	if end-start != len(uuidForm) {
		return false
	}
	letter := false
	for i, b := range []byte(text[start:end]) {
		fits := false
		switch uuidForm[i] {
		case 'h':
			fits = b != '-' && isUUIDCharacter(b)
		case 'v':
			fits = b >= '1' && b <= '8'
		case 'n':
			fits = b == '8' || b == '9' || b|0x20 == 'a' || b|0x20 == 'b'
		case '-':
			fits = b == '-'
		}
		if !fits {
			return false
		}
		letter = letter || isLetter(b)
	}
	return letter
}

func isUUIDCharacter(b byte) bool {
	return isDigit(b) || b|0x20 >= 'a' && b|0x20 <= 'f' || b == '-'
}

func isIDCharacter(b byte) bool { return isDigit(b) || b >= 'a' && b <= 'z' }
func isDigit(b byte) bool       { return b >= '0' && b <= '9' }
func isLetter(b byte) bool      { return b|0x20 >= 'a' && b|0x20 <= 'z' }

// isCard says whether 13 to 19 digits have a right check digit, and a prefix and
// length that an issuer uses.
func isCard(digits []byte) bool {
	if !luhn(digits) {
		return false
	}
	prefix, read := 0, 0
	for _, i := range issuers {
		if i.prefixDigits != read { // the table is sorted by it
			prefix, read = number(digits[:i.prefixDigits]), i.prefixDigits
		}
		if prefix >= i.low && prefix <= i.high && i.lengths&(1<<len(digits)) != 0 {
			return true
		}
	}
	return false
}

// luhn checks the last digit (ISO/IEC 7812-1, annex B). One in ten random strings
// passes, one in ten time stamps too, so it never decides alone.
func luhn(digits []byte) bool {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			d *= 2
			if d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

func number(digits []byte) int {
	n := 0
	for _, d := range digits {
		n = n*10 + int(d-'0')
	}
	return n
}

// Lengths of card numbers as bits.
const (
	l13     = 1 << 13
	l14     = 1 << 14
	l15     = 1 << 15
	l16     = 1 << 16
	l18     = 1 << 18
	l19     = 1 << 19
	l16to19 = 1<<20 - 1<<16
	l13to19 = 1<<20 - 1<<13
)

// issuers are the ranges in use, sorted by prefixDigits. UATP (a leading 1 and 15
// digits) is left out: no shop takes it, and identifiers often begin with 1.
var issuers = []struct {
	prefixDigits, low, high int
	lengths                 uint32
}{
	{1, 4, 4, l13 | l16 | l18 | l19}, // Visa
	{2, 34, 34, l15},                 // American Express
	{2, 37, 37, l15},
	{2, 36, 36, l14 | l16to19}, // Diners Club
	{2, 38, 39, l14 | l16to19},
	{2, 51, 55, l16},               // Mastercard
	{2, 60, 60, l16},               // RuPay
	{2, 62, 62, l16to19},           // UnionPay
	{2, 65, 65, l16to19},           // Discover, RuPay, Troy
	{2, 81, 82, l16to19},           // UnionPay, RuPay
	{3, 300, 305, l14 | l16to19},   // Diners Club
	{3, 508, 508, l16},             // RuPay
	{3, 644, 649, l16to19},         // Discover
	{4, 2200, 2204, l16to19},       // Mir
	{4, 2221, 2720, l16},           // Mastercard
	{4, 3095, 3095, l14 | l16to19}, // Diners Club
	{4, 3528, 3589, l16to19},       // JCB
	{4, 5018, 5018, l13to19},       // Maestro
	{4, 5020, 5020, l13to19},
	{4, 5038, 5038, l13to19},
	{4, 5612, 5612, l13to19},
	{4, 5893, 5893, l13to19},
	{4, 6011, 6011, l16to19}, // Discover
	{4, 6304, 6304, l13to19}, // Maestro
	{4, 6759, 6759, l13to19},
	{4, 6761, 6763, l13to19},
	{4, 9792, 9792, l16},                 // Troy
	{6, 506099, 506198, l16 | l18 | l19}, // Verve
	{6, 507865, 507964, l16 | l18 | l19},
}
