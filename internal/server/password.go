package server

import (
	"crypto/cipher"
	"crypto/des" //nolint:gosec // the protocol's encoding of a new password, part 1 section 2.6
	"encoding/hex"
	"strconv"
	"strings"
)

// decryptPassword undoes the v2 encoding: 4 hex characters of base key, then the
// upper-case hex of DES/CBC/PKCS5 with key and IV = the base key repeated.
func decryptPassword(s string) (string, error) {
	if len(s) < 4 {
		return "", strconv.ErrSyntax
	}
	key := []byte(s[:4] + s[:4])
	raw, err := hex.DecodeString(s[4:])
	if err != nil || len(raw) == 0 || len(raw)%des.BlockSize != 0 {
		return "", strconv.ErrSyntax
	}
	for _, k := range [][]byte{key, baseKeyBytes(s[:4])} {
		if k == nil {
			continue
		}
		block, err := des.NewCipher(k) //nolint:gosec // see above
		if err != nil {
			return "", err
		}
		out := make([]byte, len(raw))
		cipher.NewCBCDecrypter(block, k).CryptBlocks(out, raw)
		pad := int(out[len(out)-1])
		if pad >= 1 && pad <= des.BlockSize && strings.Count(string(out[len(out)-pad:]), string(rune(pad))) == pad {
			return string(out[:len(out)-pad]), nil
		}
	}
	return "", strconv.ErrSyntax
}

// baseKeyBytes is the other reading of "repeated to 8 bytes": the two key bytes
// themselves. The text leaves it open, so both are tried.
func baseKeyBytes(hexed string) []byte {
	b, err := hex.DecodeString(hexed)
	if err != nil {
		return nil
	}
	return []byte(strings.Repeat(string(b), 4))
}
