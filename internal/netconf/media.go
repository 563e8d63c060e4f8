package netconf

import (
	"math/bits"
	"slices"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"
)

// Autoselect is the medium that the two ends of the cable negotiate.
const Autoselect = "autoselect"

// Media is how a link transmits on its cable.
type Media struct {
	Current   string   `json:"current"`   // Autoselect, or the one mode that is fixed
	Supported []string `json:"supported"` // possible values of Current; empty if the driver offers no choice
	SpeedMbit int      `json:"speedMbit"` // as it is now; 0 if the link is down or the driver does not say
	Duplex    string   `json:"duplex"`    // full, half, or empty
}

// A mode is a speed and duplex that can be fixed: its bit in the masks of ethtool (linux/ethtool.h,
// SUPPORTED_*), and its name as ethtool(8) writes it.
type mode struct {
	name   string
	bit    uint
	speed  uint32
	duplex uint8
}

// Values of linux/ethtool.h.
const (
	halfDuplex   = 0
	fullDuplex   = 1
	autonegBit   = 6
	speedUnknown = 1<<32 - 1
	// modeBits has the bits of a mask that are speeds; the others are ports and pauses.
	modeBits = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<12 | 1<<15 | 1<<17 | 1<<18 | 1<<19
)

var modes = []mode{
	{"10baseT/Half", 0, 10, halfDuplex}, {"10baseT/Full", 1, 10, fullDuplex},
	{"100baseT/Half", 2, 100, halfDuplex}, {"100baseT/Full", 3, 100, fullDuplex},
	{"1000baseT/Half", 4, 1000, halfDuplex}, {"1000baseT/Full", 5, 1000, fullDuplex},
	{"2500baseX/Full", 15, 2500, fullDuplex}, {"10000baseT/Full", 12, 10000, fullDuplex},
}

// readMedia fills in the media of the links whose drivers know any.
//
// The library's GetLinkSettings and SetLinkSettings (0.7.0) cannot be used: they know three words
// of link modes. On a kernel with more (6.18 has four) the one prints a warning on standard output
// and the other fails. The older calls reach the modes of the first word, including all that
// AsyncOS offers.
func readMedia(list []Link) {
	tool, err := ethtool.NewEthtool()
	if err != nil {
		return
	}
	defer tool.Close()
	for i := range list {
		if !list[i].Ethernet() {
			continue
		}
		var settings ethtool.EthtoolCmd
		speed, err := tool.CmdGet(&settings, list[i].Name)
		if err != nil {
			continue
		}
		list[i].Media = mediaOf(settings, speed)
	}
}

func mediaOf(s ethtool.EthtoolCmd, speed uint32) *Media {
	m := &Media{Current: Autoselect, Supported: []string{}}
	if speed != speedUnknown {
		m.SpeedMbit = int(speed)
	}
	switch s.Duplex {
	case halfDuplex:
		m.Duplex = "half"
	case fullDuplex:
		m.Duplex = "full"
	}
	if s.Supported&(1<<autonegBit) != 0 {
		m.Supported = append(m.Supported, Autoselect)
	}
	advertised := s.Advertising & modeBits
	for _, mode := range modes {
		if s.Supported&(1<<mode.bit) != 0 {
			m.Supported = append(m.Supported, mode.name)
		}
		fixed := s.Autoneg == 0 && speed == mode.speed && s.Duplex == mode.duplex
		offersAlone := s.Autoneg == 1 && advertised == 1<<mode.bit && bits.OnesCount32(s.Supported&modeBits) > 1
		if fixed || offersAlone {
			m.Current = mode.name
		}
	}
	return m
}

// SetMedia fixes the speed and duplex of a link, or lets it negotiate. From 1000baseT on
// negotiation is part of the standard (IEEE 802.3 clause 40). So if the driver can negotiate, such
// a mode is fixed by offering no other.
func (Kernel) SetMedia(name, medium string) error {
	tool, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer tool.Close()
	var settings ethtool.EthtoolCmd
	if _, err := tool.CmdGet(&settings, name); err != nil {
		return err
	}
	negotiates := settings.Supported&(1<<autonegBit) != 0
	others := settings.Advertising &^ modeBits
	if medium == Autoselect {
		if !negotiates {
			return unix.EOPNOTSUPP
		}
		settings.Autoneg = 1
		settings.Advertising = others | settings.Supported&modeBits | 1<<autonegBit
		_, err = tool.CmdSet(&settings, name)
		return err
	}
	i := slices.IndexFunc(modes, func(m mode) bool { return m.name == medium })
	if i < 0 || settings.Supported&(1<<modes[i].bit) == 0 {
		return unix.EOPNOTSUPP
	}
	settings.Speed, settings.Speed_hi, settings.Duplex, settings.Autoneg = uint16(modes[i].speed), 0, modes[i].duplex, 0
	settings.Advertising = others | 1<<modes[i].bit
	if negotiates && modes[i].speed >= 1000 {
		settings.Autoneg = 1
	}
	_, err = tool.CmdSet(&settings, name)
	return err
}
