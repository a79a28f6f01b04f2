/* SPDX-License-Identifier: Apache-2.0 OR MIT */

#include "xnorforge.h"

static uint32_t divide_up(uint32_t number, uint32_t by) { return number / by + (number % by != 0); }

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Bytes that a memory word of `width` bits takes on a stream: whole transfers. */
static size_t word_bytes(const xnf_sizes *sizes, uint32_t width) {
    return (size_t)divide_up(width, sizes->stream_bits) * (sizes->stream_bits / 8);
}

static void put_bit(uint8_t *word, uint32_t bit, bool value) {
    const uint8_t mask = (uint8_t)(1u << (bit % 8));
    word[bit / 8] = (uint8_t)(value ? word[bit / 8] | mask : word[bit / 8] & ~mask);
}

static void clear(uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; ++i) bytes[i] = 0;
}

xnf_result xnf_lay_out(const xnf_sizes *sizes, uint32_t pixels, uint32_t channels, uint32_t bits, xnf_tensor *tensor) {
    if (pixels == 0 || channels == 0 || bits == 0 || bits > 8) return XNF_ERROR_ARGUMENT;
    const uint32_t pixel_granules = divide_up(channels, sizes->columns);
    const uint32_t groups = divide_up(bits, sizes->activation_branches);
    const uint64_t granules = (uint64_t)pixels * pixel_granules;
    if (granules > (uint64_t)sizes->activation_words * sizes->slices) return XNF_ERROR_SPACE;
    const uint32_t pitch = divide_up((uint32_t)granules, sizes->slices);
    if ((uint64_t)pitch * groups > sizes->activation_words) return XNF_ERROR_SPACE;
    tensor->pixels = pixels;
    tensor->channels = channels;
    tensor->pixel_granules = pixel_granules;
    tensor->pitch = pitch;
    tensor->groups = groups;
    tensor->words = pitch * groups;
    tensor->bytes = tensor->words * word_bytes(sizes, sizes->lanes * sizes->activation_branches);
    return XNF_OK;
}

xnf_result xnf_pack_tensor(const xnf_sizes *sizes, const xnf_tensor *tensor, const uint8_t *codes, uint8_t *out,
                           size_t capacity) {
    if (capacity < tensor->bytes) return XNF_ERROR_SPACE;
    const uint32_t branches = sizes->activation_branches;
    const size_t stride = word_bytes(sizes, sizes->lanes * branches);
    const uint32_t granule_lanes = sizes->lanes / sizes->slices;
    clear(out, tensor->bytes);
    for (uint32_t pixel = 0; pixel < tensor->pixels; ++pixel) {
        for (uint32_t channel = 0; channel < tensor->channels; ++channel) {
            const uint32_t granule = pixel * tensor->pixel_granules + channel / sizes->columns;
            const uint32_t lane = granule % sizes->slices * granule_lanes + channel % sizes->columns;
            const uint32_t code = codes[(size_t)pixel * tensor->channels + channel];
            for (uint32_t plane = 0; plane < tensor->groups * branches; ++plane) {
                const uint32_t word = plane / branches * tensor->pitch + granule / sizes->slices;
                put_bit(out + word * stride, plane % branches * sizes->lanes + lane, code >> plane & 1);
            }
        }
    }
    return XNF_OK;
}

xnf_result xnf_pack_weights(const xnf_sizes *sizes, uint32_t columns, uint32_t elements, uint32_t bits,
                            const uint8_t *codes, uint8_t *out, size_t capacity, size_t *bytes) {
    if (columns == 0 || elements == 0 || bits == 0 || bits > 8) return XNF_ERROR_ARGUMENT;
    const uint32_t branches = sizes->weight_branches, lanes = sizes->lanes;
    const uint32_t tiles = divide_up(columns, sizes->columns), groups = divide_up(bits, branches);
    const uint32_t chunks = divide_up(elements, lanes);
    const uint64_t addresses = (uint64_t)tiles * groups * chunks;
    if (addresses > sizes->weight_words) return XNF_ERROR_SPACE;
    const size_t stride = word_bytes(sizes, lanes * branches);
    const size_t needed = (size_t)addresses * sizes->columns * stride;
    *bytes = needed;
    if (!out) return XNF_OK;
    if (capacity < needed) return XNF_ERROR_SPACE;
    clear(out, needed);
    /* Each turn of the loop is a word: address by address, column by column. */
    for (uint32_t word = 0; word < (uint32_t)addresses * sizes->columns; ++word, out += stride) {
        const uint32_t address = word / sizes->columns;
        const uint32_t column = address / (groups * chunks) * sizes->columns + word % sizes->columns;
        const uint32_t group = address / chunks % groups, chunk = address % chunks;
        for (uint32_t bit = 0; bit < lanes * branches; ++bit) {
            const uint64_t element = (uint64_t)chunk * lanes + bit % lanes;
            const uint32_t plane = group * branches + bit / lanes;
            const bool there = column < columns && element < elements;
            put_bit(out, bit, !there || (codes[(size_t)column * elements + (size_t)element] >> plane & 1));
        }
    }
    return XNF_OK;
}

xnf_result xnf_unpack_results(const xnf_sizes *sizes, uint32_t pixels, uint32_t channels, const int32_t *values,
                              int32_t *out) {
    if (pixels == 0 || channels == 0) return XNF_ERROR_ARGUMENT;
    for (uint32_t pixel = 0, rows; pixel < pixels; pixel += rows) {
        rows = smaller(pixels - pixel, sizes->rows);
        for (uint32_t channel = 0, columns; channel < channels; channel += columns) {
            columns = smaller(channels - channel, sizes->columns);
            for (uint32_t row = 0; row < rows; ++row) {
                for (uint32_t column = 0; column < columns; ++column) {
                    out[(size_t)(pixel + row) * channels + channel + column] = *values++;
                }
            }
        }
    }
    return XNF_OK;
}
