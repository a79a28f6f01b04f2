/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Driver of the XnorForge accelerator: C99, freestanding, no allocation, no global state.
 *
 * The driver reaches the hardware through an `xnf_bus`: register accesses on the AXI4-Lite port and bytes on the
 * AXI4-Stream ports (usually a DMA engine's). A run of a compiled program:
 *
 *     xnf_device device;
 *     xnf_open(&device, &bus);
 *     xnf_load_image(&device, image, image_bytes);               once
 *     xnf_start(&device, entry_address, 1);
 *     xnf_push(&device, XNF_STREAM_WEIGHT, weights, bytes, true);  where the entry takes weights
 *     xnf_push(&device, XNF_STREAM_INPUT, input, bytes, true);
 *     xnf_pop_results(&device, values, capacity, &count, &last);
 *     xnf_wait(&device, polls);
 *
 * Every function that can fail gives an `xnf_result`; nothing is changed in its outputs then, except where said.
 */

#ifndef XNORFORGE_H
#define XNORFORGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xnorforge_registers.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    XNF_OK = 0,
    /* An argument is out of its range. */
    XNF_ERROR_ARGUMENT,
    /* A function of the bus failed. */
    XNF_ERROR_BUS,
    /* There is no accelerator at these addresses. */
    XNF_ERROR_IDENTITY,
    /* Its register map has another major version than this driver. */
    XNF_ERROR_VERSION,
    /* It is busy. */
    XNF_ERROR_BUSY,
    /* It did not end within the polls allowed. */
    XNF_ERROR_TIMEOUT,
    /* It ended with an error: see `xnf_status`. */
    XNF_ERROR_ACCELERATOR,
    /* It is idle, but neither well ended nor in error: it was reset, or never started. */
    XNF_ERROR_STOPPED,
    /* A buffer or a memory of the accelerator is too small. */
    XNF_ERROR_SPACE,
    /* An image is damaged, or a stream gave something that is no whole value. */
    XNF_ERROR_DATA
} xnf_result;

/* The streams to the accelerator. */
typedef enum { XNF_STREAM_PROGRAM = 0, XNF_STREAM_WEIGHT = 1, XNF_STREAM_INPUT = 2 } xnf_stream;

/*
 * How the hardware is reached. Every function gets `context` and gives 0, or another number where it failed.
 */
typedef struct {
    void *context;
    /* Reads and writes a register at a byte offset from the accelerator's base address. */
    int (*read)(void *context, uint32_t offset, uint32_t *value);
    int (*write)(void *context, uint32_t offset, uint32_t value);
    /*
     * Sends `count` bytes, the first in the lowest bits of a transfer; always whole transfers. `last` sets TLAST with
     * the last one. On the weight and the input stream it may return before the accelerator has taken the bytes (which
     * takes them as a program asks for them), but only once they may be overwritten. On the program stream it returns
     * when they are taken: the accelerator loads only while it is idle, and what is loaded is started next.
     */
    int (*push)(void *context, xnf_stream stream, const uint8_t *bytes, size_t count, bool last);
    /*
     * Waits for results and stores at most `capacity` bytes, without those that TKEEP leaves out, and at most up to a
     * TLAST. `count` takes how many they are, at least one value, and `last` whether TLAST came with the last one.
     */
    int (*pop)(void *context, uint8_t *bytes, size_t capacity, size_t *count, bool *last);
    /* Called between two polls of a register: may sleep until the interrupt. May be null. */
    void (*idle)(void *context);
} xnf_bus;

/* `read` and `write` of an `xnf_bus` for registers in memory; `context` is the base address. */
int xnf_mmio_read(void *context, uint32_t offset, uint32_t *value);
int xnf_mmio_write(void *context, uint32_t offset, uint32_t value);

/* The sizes of the accelerator; the meaning of each is in docs/registers.md. */
typedef struct {
    uint32_t configuration_high;
    uint32_t configuration_low;
    uint32_t rows;
    uint32_t columns;
    uint32_t lanes;
    uint32_t activation_bits;
    uint32_t weight_bits;
    uint32_t activation_branches;
    uint32_t weight_branches;
    uint32_t reduction_max;
    uint32_t result_width;
    uint32_t slices;
    uint32_t drain_columns;
    uint32_t load_ports;
    uint32_t activation_words;
    uint32_t residual_words;
    uint32_t patch_words;
    uint32_t weight_words;
    uint32_t constant_words;
    uint32_t channel_words;
    uint32_t table_words;
    uint32_t program_words;
    uint32_t schedule_words;
    uint32_t layers;
    uint32_t counters;
    uint32_t threshold_bits;
    uint32_t stream_bits;
} xnf_sizes;

/* An accelerator. Its members are for reading. */
typedef struct {
    xnf_bus bus;
    xnf_sizes sizes;
} xnf_device;

/* What an accelerator is doing. */
typedef struct {
    /* A program runs. */
    bool busy;
    /* What was started last has ended well. */
    bool done;
    /* The performance counters are being cleared. */
    bool clearing;
    /* Code of the error that ended it, or 0; `xnf_error_name` has names. */
    uint8_t error;
    /* Layer of the descriptor at hand, or of the last one. */
    uint8_t layer;
} xnf_status;

/* What the program stream loads. */
typedef enum {
    XNF_TARGET_PROGRAM = 0,
    XNF_TARGET_SCHEDULE = 1,
    XNF_TARGET_CONSTANTS = 2,
    XNF_TARGET_THRESHOLDS = 3,
    XNF_TARGET_AFFINE = 4,
    XNF_TARGET_TABLE = 5
} xnf_target;

/* Why cycles of a layer passed: the performance counters of each layer. */
typedef enum {
    XNF_COUNTER_BUSY = 0,
    XNF_COUNTER_LOAD = 1,
    XNF_COUNTER_DRAIN = 2,
    XNF_COUNTER_WEIGHTS = 3,
    XNF_COUNTER_INPUT = 4,
    XNF_COUNTER_CONTROL = 5,
    XNF_COUNTER_POOL = 6,
    XNF_COUNTER_OUTPUT = 7
} xnf_counter_cause;

/* ---- Control ---- */

/* Identifies the accelerator behind a bus and reads its sizes. */
xnf_result xnf_open(xnf_device *device, const xnf_bus *bus);

xnf_result xnf_read_status(const xnf_device *device, xnf_status *status);

/* Starts the program at a word address of the program memory, `runs` times, 1..=65535. The accelerator must be idle. */
xnf_result xnf_start(const xnf_device *device, uint32_t address, uint32_t runs);

/*
 * Waits until what was started last has ended; looks at most `polls` times. XNF_OK: it ended well; else
 * XNF_ERROR_ACCELERATOR, XNF_ERROR_STOPPED or XNF_ERROR_TIMEOUT.
 */
xnf_result xnf_wait(const xnf_device *device, uint32_t polls);

/* Ends what is running. Memories and registers keep their contents; data under way on the streams are lost. */
xnf_result xnf_soft_reset(const xnf_device *device);

/* The name of an error code of the accelerator ("opcode", "field", ...), "none" for 0, "unknown" for others. */
const char *xnf_error_name(uint8_t code);

/* ---- Interrupts and errors of the bus: masks are those of xnorforge_registers.h ---- */

/* Which bits of INTERRUPT_STATUS raise the interrupt. */
xnf_result xnf_enable_interrupts(const xnf_device *device, uint32_t mask);

/* Reads INTERRUPT_STATUS and clears what it read. */
xnf_result xnf_take_interrupts(const xnf_device *device, uint32_t *flags);

/* Reads BUS_ERROR and clears what it read: accesses that were answered with SLVERR. This driver makes none. */
xnf_result xnf_take_bus_errors(const xnf_device *device, uint32_t *flags);

/* ---- Performance counters ---- */

/* Reads a counter of a layer. The accelerator must be idle. Counters hold anything until they are cleared first. */
xnf_result xnf_read_counter(const xnf_device *device, uint32_t layer, xnf_counter_cause cause, uint32_t *cycles);

/* Clears all counters, and waits for it with at most `polls` looks. The accelerator must be idle. */
xnf_result xnf_clear_counters(const xnf_device *device, uint32_t polls);

/* ---- Streams ---- */

/*
 * Loads words of a memory: one packet of the program stream. `bytes` holds the memory's words, each as
 * ceil(width / 32) words of 32 bits, little-endian, least significant first. The accelerator must be idle.
 */
xnf_result xnf_load(const xnf_device *device, xnf_target target, uint32_t level, uint32_t lane, uint32_t address,
                    const uint8_t *bytes, size_t count);

/*
 * Loads a compiled program: packets of the program stream one after the other, each with its number of 32-bit words
 * (header and address included) before it, all little-endian. The accelerator must be idle.
 */
xnf_result xnf_load_image(const xnf_device *device, const uint8_t *image, size_t count);

/* Sends bytes to the weight or the input stream: whole transfers of `stream_bits`; `last` ends a packet. */
xnf_result xnf_push(const xnf_device *device, xnf_stream stream, const uint8_t *bytes, size_t count, bool last);

/*
 * Takes values from the result stream until `capacity` values are there or a packet ends. `count` and `last` are set
 * also where it fails: what has come until then.
 */
xnf_result xnf_pop_results(const xnf_device *device, int32_t *values, size_t capacity, size_t *count, bool *last);

/* ---- Tensors (docs/accelerator.md, "Tensors in memory") ---- */

/* How a tensor stands in the activation memory, and on the input stream. */
typedef struct {
    /* images * height * width. */
    uint32_t pixels;
    uint32_t channels;
    /* Granules of a pixel: ceil(channels / columns). */
    uint32_t pixel_granules;
    /* Words of one plane group. */
    uint32_t pitch;
    /* Plane groups: ceil(bits / activation_branches). */
    uint32_t groups;
    /* Words of all groups. */
    uint32_t words;
    /* Bytes on the stream. */
    size_t bytes;
} xnf_tensor;

/* The layout of a tensor whose codes have `bits` bits. XNF_ERROR_SPACE: it is larger than the activation memory. */
xnf_result xnf_lay_out(const xnf_sizes *sizes, uint32_t pixels, uint32_t channels, uint32_t bits, xnf_tensor *tensor);

/*
 * Packs codes (bit i is plane i) of a tensor, [pixel][channel], into the bytes of the input stream; `out` takes
 * `tensor->bytes`.
 */
xnf_result xnf_pack_tensor(const xnf_sizes *sizes, const xnf_tensor *tensor, const uint8_t *codes, uint8_t *out,
                           size_t capacity);

/*
 * Packs codes of weights, [column][element], into the bytes of the weight stream: column tile after column tile, in
 * each weight group after weight group, in each chunk after chunk; lanes without an element hold 1. `elements` stand in
 * the order of the patch, lane by lane: element e is lane e mod L of chunk e / L. `bytes` takes how many bytes there
 * are; with `out` null, that is all that is done.
 */
xnf_result xnf_pack_weights(const xnf_sizes *sizes, uint32_t columns, uint32_t elements, uint32_t bits,
                            const uint8_t *codes, uint8_t *out, size_t capacity, size_t *bytes);

/*
 * Brings the values of one COMPUTE descriptor, in the order of the result stream, into the order [pixel][channel].
 * `out` must not overlap `values`.
 */
xnf_result xnf_unpack_results(const xnf_sizes *sizes, uint32_t pixels, uint32_t channels, const int32_t *values,
                              int32_t *out);

#ifdef __cplusplus
}
#endif

#endif
