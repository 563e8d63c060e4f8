"""Compiles filters as tcpdump -ddd does, one after another: libpcap_test.go.

Each line of the standard input is a JSON array: the name of a link type or null, else the path of a
capture file, whether to optimise, and the expression. Each line of the answer is the program as an
array of [code, jt, jf, k], or libpcap's reason for a refusal as a string.
"""
import ctypes
import json
import sys

SNAPLEN = 262144  # tcpdump's, netdissect.h


class Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint32)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint), ("instructions", ctypes.POINTER(Instruction))]


pcap = ctypes.CDLL("libpcap.so.0.8")
for opens in (pcap.pcap_open_dead, pcap.pcap_open_offline):
    opens.restype = ctypes.c_void_p
pcap.pcap_geterr.restype = ctypes.c_char_p


def compile_filter(link, file, optimise, expression):
    if link:
        number = pcap.pcap_datalink_name_to_val(link.encode())
        handle = ctypes.c_void_p(pcap.pcap_open_dead(number, SNAPLEN))
    else:
        wrong = ctypes.create_string_buffer(256)
        handle = ctypes.c_void_p(pcap.pcap_open_offline(file.encode(), wrong))
        if not handle:
            sys.exit(wrong.value.decode())
    program = Program()
    try:
        if pcap.pcap_compile(handle, ctypes.byref(program), expression.encode(), int(optimise), 0) != 0:
            return pcap.pcap_geterr(handle).decode(errors="replace")
        result = [(i.code, i.jt, i.jf, i.k) for i in program.instructions[: program.length]]
        pcap.pcap_freecode(ctypes.byref(program))
        return result
    finally:
        pcap.pcap_close(handle)


for line in sys.stdin:
    print(json.dumps(compile_filter(*json.loads(line))), flush=True)
