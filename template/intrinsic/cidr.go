package intrinsic

import (
	"math/big"
	"net/netip"
	"strconv"

	"github.com/daruma-io/daruma/template/tree"
)

const cidrsMax = 256 // CloudFormation's limit for Fn::Cidr

// cidr makes count blocks of the given size out of one block: [block, count, bits].
// bits is what is left to hosts; 8 when it is not given, 64 being usual for IPv6.
func cidr(s *Scope, c call) *tree.Node {
	args, ok := s.items(c, 2, 3)
	if !ok {
		return broken(c.arg)
	}
	var texts [3]string
	texts[2] = "8"
	for i, a := range args {
		if texts[i], _, ok = s.text(a, "an argument of Fn::Cidr"); !ok {
			return broken(c.arg)
		}
	}
	block, err := netip.ParsePrefix(texts[0])
	count, err1 := strconv.Atoi(texts[1])
	bits, err2 := strconv.Atoi(texts[2])
	if err != nil || err1 != nil || err2 != nil || count < 1 || count > cidrsMax || bits < 1 {
		s.fault(c.at, "Template error: Fn::Cidr takes an address block, a count from 1 to 256 and a number of bits", "")
		return broken(c.arg)
	}
	size := block.Addr().BitLen() - bits
	room := size - block.Bits()
	if room < 0 || room < 31 && count > 1<<room {
		s.fault(c.at, "Template error: Fn::Cidr: "+texts[0]+" has no room for "+texts[1]+" blocks of "+texts[2]+" bits", "")
		return broken(c.arg)
	}
	list := &tree.Node{Pos: c.at, Kind: tree.List}
	at := new(big.Int).SetBytes(block.Masked().Addr().AsSlice())
	step := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	for range count {
		raw := at.FillBytes(make([]byte, block.Addr().BitLen()/8))
		addr, _ := netip.AddrFromSlice(raw)
		list.Items = append(list.Items, tree.Text(c.at, netip.PrefixFrom(addr, size).String()))
		at.Add(at, step)
	}
	return list
}
