package filter

// The operation codes that evaluator, listing and the check for the kernel tell apart, beside
// those in bpf.go. K stands for the constant of the instruction, X for the index register.
const (
	codeLoadWord  = classLD | modeABS | sizeW
	codeLoadHalf  = classLD | modeABS | sizeH
	codeLoadByte  = classLD | modeABS | sizeB
	codeIndexWord = classLD | modeIND | sizeW
	codeIndexHalf = classLD | modeIND | sizeH
	codeIndexByte = classLD | modeIND | sizeB
	codeLoadXLen  = classLDX | modeLEN

	codeAddK = classALU | opADD | srcK
	codeAddX = classALU | opADD | srcX
	codeSubK = classALU | opSUB | srcK
	codeSubX = classALU | opSUB | srcX
	codeMulK = classALU | opMUL | srcK
	codeMulX = classALU | opMUL | srcX
	codeDivK = classALU | opDIV | srcK
	codeDivX = classALU | opDIV | srcX
	codeOrK  = classALU | opOR | srcK
	codeOrX  = classALU | opOR | srcX
	codeAndK = classALU | opAND | srcK
	codeAndX = classALU | opAND | srcX
	codeLshK = classALU | opLSH | srcK
	codeLshX = classALU | opLSH | srcX
	codeRshK = classALU | opRSH | srcK
	codeRshX = classALU | opRSH | srcX
	codeModK = classALU | opMOD | srcK
	codeModX = classALU | opMOD | srcX
	codeXorK = classALU | opXOR | srcK
	codeXorX = classALU | opXOR | srcX
	codeNeg  = classALU | opNEG

	codeJEQK  = classJMP | opJEQ | srcK
	codeJEQX  = classJMP | opJEQ | srcX
	codeJGTK  = classJMP | opJGT | srcK
	codeJGTX  = classJMP | opJGT | srcX
	codeJGEK  = classJMP | opJGE | srcK
	codeJGEX  = classJMP | opJGE | srcX
	codeJSETK = classJMP | opJSET | srcK
	codeJSETX = classJMP | opJSET | srcX

	codeReturnA = classRET | returnA
)

// returnA makes a return give the accumulator instead of K.
const returnA = 0x10

// ancillaryProtocol is the protocol of the packet as the kernel sees it, an Ethernet type.
const ancillaryProtocol = ancillaryBase + 0
