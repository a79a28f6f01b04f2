/* SPDX-License-Identifier: Apache-2.0 OR MIT */

#include "xnorforge.h"

#define WORD_BYTES 4u
#define RUNS_MAX 65535u
#define LEVELS 16u
#define LANES 256u
/* Words of a packet before its data: header and address. */
#define PACKET_HEAD 2u

int xnf_mmio_read(void *context, uint32_t offset, uint32_t *value) {
    *value = ((volatile const uint32_t *)context)[offset / WORD_BYTES];
    return 0;
}

int xnf_mmio_write(void *context, uint32_t offset, uint32_t value) {
    ((volatile uint32_t *)context)[offset / WORD_BYTES] = value;
    return 0;
}

static xnf_result read_register(const xnf_device *device, uint32_t offset, uint32_t *value) {
    return device->bus.read(device->bus.context, offset, value) == 0 ? XNF_OK : XNF_ERROR_BUS;
}

static xnf_result write_register(const xnf_device *device, uint32_t offset, uint32_t value) {
    return device->bus.write(device->bus.context, offset, value) == 0 ? XNF_OK : XNF_ERROR_BUS;
}

static xnf_result push(const xnf_device *device, xnf_stream stream, const uint8_t *bytes, size_t count, bool last) {
    return device->bus.push(device->bus.context, stream, bytes, count, last) == 0 ? XNF_OK : XNF_ERROR_BUS;
}

static uint32_t get_word(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void put_word(uint8_t *bytes, uint32_t word) {
    for (unsigned i = 0; i < WORD_BYTES; ++i) bytes[i] = (uint8_t)(word >> (8 * i));
}

/* Where each size stands, and where it goes. */
static const struct {
    uint32_t offset;
    size_t member;
} size_registers[] = {
    {XNF_CONFIGURATION_HIGH, offsetof(xnf_sizes, configuration_high)},
    {XNF_CONFIGURATION_LOW, offsetof(xnf_sizes, configuration_low)},
    {XNF_ROWS, offsetof(xnf_sizes, rows)},
    {XNF_COLUMNS, offsetof(xnf_sizes, columns)},
    {XNF_LANES, offsetof(xnf_sizes, lanes)},
    {XNF_ACTIVATION_BITS, offsetof(xnf_sizes, activation_bits)},
    {XNF_WEIGHT_BITS, offsetof(xnf_sizes, weight_bits)},
    {XNF_ACTIVATION_BRANCHES, offsetof(xnf_sizes, activation_branches)},
    {XNF_WEIGHT_BRANCHES, offsetof(xnf_sizes, weight_branches)},
    {XNF_REDUCTION_MAX, offsetof(xnf_sizes, reduction_max)},
    {XNF_RESULT_WIDTH, offsetof(xnf_sizes, result_width)},
    {XNF_SLICES, offsetof(xnf_sizes, slices)},
    {XNF_DRAIN_COLUMNS, offsetof(xnf_sizes, drain_columns)},
    {XNF_LOAD_PORTS, offsetof(xnf_sizes, load_ports)},
    {XNF_ACTIVATION_WORDS, offsetof(xnf_sizes, activation_words)},
    {XNF_RESIDUAL_WORDS, offsetof(xnf_sizes, residual_words)},
    {XNF_PATCH_WORDS, offsetof(xnf_sizes, patch_words)},
    {XNF_WEIGHT_WORDS, offsetof(xnf_sizes, weight_words)},
    {XNF_CONSTANT_WORDS, offsetof(xnf_sizes, constant_words)},
    {XNF_CHANNEL_WORDS, offsetof(xnf_sizes, channel_words)},
    {XNF_TABLE_WORDS, offsetof(xnf_sizes, table_words)},
    {XNF_PROGRAM_WORDS, offsetof(xnf_sizes, program_words)},
    {XNF_SCHEDULE_WORDS, offsetof(xnf_sizes, schedule_words)},
    {XNF_LAYERS, offsetof(xnf_sizes, layers)},
    {XNF_COUNTERS, offsetof(xnf_sizes, counters)},
    {XNF_THRESHOLD_BITS, offsetof(xnf_sizes, threshold_bits)},
    {XNF_STREAM_BITS, offsetof(xnf_sizes, stream_bits)},
};

static xnf_result identify(const xnf_device *device) {
    uint32_t value = 0;
    xnf_result result = read_register(device, XNF_ID, &value);
    if (result != XNF_OK) return result;
    if (value != XNF_ID_EXPECTED) return XNF_ERROR_IDENTITY;
    result = read_register(device, XNF_VERSION, &value);
    if (result != XNF_OK) return result;
    return ((value ^ XNF_VERSION_EXPECTED) & XNF_VERSION_MAJOR_MASK) == 0 ? XNF_OK : XNF_ERROR_VERSION;
}

xnf_result xnf_open(xnf_device *device, const xnf_bus *bus) {
    xnf_device found;
    if (!bus->read || !bus->write || !bus->push || !bus->pop) return XNF_ERROR_ARGUMENT;
    found.bus = *bus;
    xnf_result result = identify(&found);
    for (size_t i = 0; result == XNF_OK && i < sizeof size_registers / sizeof size_registers[0]; ++i) {
        uint32_t *const member = (uint32_t *)(void *)((unsigned char *)&found.sizes + size_registers[i].member);
        result = read_register(&found, size_registers[i].offset, member);
    }
    if (result == XNF_OK) *device = found;
    return result;
}

xnf_result xnf_read_status(const xnf_device *device, xnf_status *status) {
    uint32_t value = 0;
    const xnf_result result = read_register(device, XNF_STATUS, &value);
    if (result != XNF_OK) return result;
    status->busy = (value & XNF_STATUS_BUSY_MASK) != 0;
    status->done = (value & XNF_STATUS_DONE_MASK) != 0;
    status->clearing = (value & XNF_STATUS_CLEARING_MASK) != 0;
    status->error = (uint8_t)((value & XNF_STATUS_ERROR_MASK) >> XNF_STATUS_ERROR_SHIFT);
    status->layer = (uint8_t)((value & XNF_STATUS_LAYER_MASK) >> XNF_STATUS_LAYER_SHIFT);
    return XNF_OK;
}

static xnf_result require_idle(const xnf_device *device) {
    xnf_status status;
    const xnf_result result = xnf_read_status(device, &status);
    if (result != XNF_OK) return result;
    return status.busy || status.clearing ? XNF_ERROR_BUSY : XNF_OK;
}

xnf_result xnf_start(const xnf_device *device, uint32_t address, uint32_t runs) {
    if (address >= device->sizes.program_words || runs == 0 || runs > RUNS_MAX) return XNF_ERROR_ARGUMENT;
    xnf_result result = require_idle(device);
    if (result == XNF_OK) result = write_register(device, XNF_START_ADDRESS, address);
    if (result == XNF_OK) result = write_register(device, XNF_RUNS, runs);
    if (result == XNF_OK) result = write_register(device, XNF_CONTROL, XNF_CONTROL_START_MASK);
    return result;
}

xnf_result xnf_wait(const xnf_device *device, uint32_t polls) {
    for (uint32_t poll = 0; poll < polls; ++poll) {
        xnf_status status;
        const xnf_result result = xnf_read_status(device, &status);
        if (result != XNF_OK) return result;
        if (!status.busy) {
            if (status.error != 0) return XNF_ERROR_ACCELERATOR;
            return status.done ? XNF_OK : XNF_ERROR_STOPPED;
        }
        if (device->bus.idle) device->bus.idle(device->bus.context);
    }
    return XNF_ERROR_TIMEOUT;
}

xnf_result xnf_soft_reset(const xnf_device *device) {
    return write_register(device, XNF_CONTROL, XNF_CONTROL_SOFT_RESET_MASK);
}

const char *xnf_error_name(uint8_t code) {
    static const char *const names[] = {"none",         "opcode",      "program_range", "field",       "overlap",
                                        "input_range",  "output_range", "weight_range",  "patch_range", "table_range",
                                        "input_early",  "input_late",  "weight_early",  "weight_late", "load"};
    return code < sizeof names / sizeof names[0] ? names[code] : "unknown";
}

/* Reads a register of flags, and clears those that it read. */
static xnf_result take_flags(const xnf_device *device, uint32_t offset, uint32_t *flags) {
    uint32_t value = 0;
    xnf_result result = read_register(device, offset, &value);
    if (result == XNF_OK && value != 0) result = write_register(device, offset, value);
    if (result == XNF_OK) *flags = value;
    return result;
}

xnf_result xnf_enable_interrupts(const xnf_device *device, uint32_t mask) {
    return write_register(device, XNF_INTERRUPT_ENABLE, mask);
}

xnf_result xnf_take_interrupts(const xnf_device *device, uint32_t *flags) {
    return take_flags(device, XNF_INTERRUPT_STATUS, flags);
}

xnf_result xnf_take_bus_errors(const xnf_device *device, uint32_t *flags) {
    return take_flags(device, XNF_BUS_ERROR, flags);
}

xnf_result xnf_read_counter(const xnf_device *device, uint32_t layer, xnf_counter_cause cause, uint32_t *cycles) {
    if (layer >= device->sizes.layers || (uint32_t)cause >= device->sizes.counters) return XNF_ERROR_ARGUMENT;
    xnf_result result = require_idle(device);
    const uint32_t select =
        layer << XNF_COUNTER_SELECT_LAYER_SHIFT | (uint32_t)cause << XNF_COUNTER_SELECT_CAUSE_SHIFT;
    if (result == XNF_OK) result = write_register(device, XNF_COUNTER_SELECT, select);
    if (result == XNF_OK) result = read_register(device, XNF_COUNTER_VALUE, cycles);
    return result;
}

xnf_result xnf_clear_counters(const xnf_device *device, uint32_t polls) {
    xnf_result result = require_idle(device);
    if (result == XNF_OK) result = write_register(device, XNF_CONTROL, XNF_CONTROL_COUNTER_CLEAR_MASK);
    for (uint32_t poll = 0; result == XNF_OK && poll < polls; ++poll) {
        xnf_status status;
        result = xnf_read_status(device, &status);
        if (result == XNF_OK && !status.clearing) return XNF_OK;
    }
    return result == XNF_OK ? XNF_ERROR_TIMEOUT : result;
}

xnf_result xnf_load(const xnf_device *device, xnf_target target, uint32_t level, uint32_t lane, uint32_t address,
                    const uint8_t *bytes, size_t count) {
    if ((uint32_t)target > (uint32_t)XNF_TARGET_TABLE || level >= LEVELS || lane >= LANES) return XNF_ERROR_ARGUMENT;
    if (count == 0 || count % WORD_BYTES != 0) return XNF_ERROR_ARGUMENT;
    uint8_t head[PACKET_HEAD * WORD_BYTES];
    put_word(head, (uint32_t)target << 28 | level << 24 | lane << 16);
    put_word(head + WORD_BYTES, address);
    xnf_result result = require_idle(device);
    if (result == XNF_OK) result = push(device, XNF_STREAM_PROGRAM, head, sizeof head, false);
    if (result == XNF_OK) result = push(device, XNF_STREAM_PROGRAM, bytes, count, true);
    return result;
}

/* Bytes of the packet at the head of an image, without its length; 0 where the image is damaged. */
static size_t packet_bytes(const uint8_t *image, size_t count) {
    if (count < WORD_BYTES) return 0;
    const size_t words = get_word(image);
    return words <= PACKET_HEAD || words > (count - WORD_BYTES) / WORD_BYTES ? 0 : words * WORD_BYTES;
}

xnf_result xnf_load_image(const xnf_device *device, const uint8_t *image, size_t count) {
    /* All of it is looked at before any of it is sent. */
    for (size_t at = 0; at < count;) {
        const size_t bytes = packet_bytes(image + at, count - at);
        if (bytes == 0) return XNF_ERROR_DATA;
        at += WORD_BYTES + bytes;
    }
    xnf_result result = require_idle(device);
    for (size_t at = 0; result == XNF_OK && at < count;) {
        const size_t bytes = packet_bytes(image + at, count - at);
        result = push(device, XNF_STREAM_PROGRAM, image + at + WORD_BYTES, bytes, true);
        at += WORD_BYTES + bytes;
    }
    return result;
}

xnf_result xnf_push(const xnf_device *device, xnf_stream stream, const uint8_t *bytes, size_t count, bool last) {
    if (stream != XNF_STREAM_WEIGHT && stream != XNF_STREAM_INPUT) return XNF_ERROR_ARGUMENT;
    if (count == 0 || count % (device->sizes.stream_bits / 8) != 0) return XNF_ERROR_ARGUMENT;
    return push(device, stream, bytes, count, last);
}

xnf_result xnf_pop_results(const xnf_device *device, int32_t *values, size_t capacity, size_t *count, bool *last) {
    xnf_result result = XNF_OK;
    *count = 0;
    *last = false;
    while (result == XNF_OK && *count < capacity && !*last) {
        /* The bytes land where the values will be, and are turned into them there. */
        uint8_t *const bytes = (uint8_t *)(values + *count);
        size_t taken = 0;
        const size_t room = (capacity - *count) * WORD_BYTES;
        if (device->bus.pop(device->bus.context, bytes, room, &taken, last) != 0) return XNF_ERROR_BUS;
        if (taken == 0 || taken > room || taken % WORD_BYTES != 0) result = XNF_ERROR_DATA;
        for (size_t i = 0; result == XNF_OK && i < taken / WORD_BYTES; ++i) {
            /* A conversion of a number past INT32_MAX is up to the compiler; this one is not. */
            const uint32_t word = get_word(bytes + i * WORD_BYTES);
            values[(*count)++] = word <= (uint32_t)INT32_MAX ? (int32_t)word : -(int32_t)(~word) - 1;
        }
    }
    return result;
}
