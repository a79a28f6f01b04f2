// Included before everything else, also in Verilator's own run-time library: what the Verilog prints goes to the
// shim, not to standard output, which belongs to the command's results.
#ifndef XNF_RUNTIME_H
#define XNF_RUNTIME_H
extern "C" int xnf_printf(const char* format, ...) __attribute__((format(printf, 1, 2)));
#define VL_PRINTF xnf_printf
#endif
