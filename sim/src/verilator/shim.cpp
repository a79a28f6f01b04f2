// The functions that Rust calls, around the class that Verilator generates. `PORT CHECKS`, `SET PORTS` and
// `GET PORTS` are filled in for each design.

#include "Vmodel.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>

#define XNF_EXPORT extern "C" __attribute__((visibility("default")))

// @PORT CHECKS@

namespace {

// Thrown by $stop, $finish and $fatal, and caught in `guarded`: a model that has stopped must not go on, and must
// not take the process with it.
struct Stopped {};

// Most bytes kept of what the Verilog printed.
constexpr std::size_t PRINTED_BYTES_MAX = 4096;

// Members are destroyed from the last to the first: the context outlives the model.
struct Instance {
    explicit Instance(uint64_t number) : number{number} {}

    const uint64_t number;  // never used twice, unlike an address
    std::unique_ptr<VerilatedContext> context;
    std::unique_ptr<Vmodel> model;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace;
#endif
    std::string printed;
    std::string message;
};

// The instance that this thread is inside of, if any.
thread_local Instance* inside = nullptr;
// The number of the instance whose context Verilator's run-time library takes for this thread's; 0 for none.
thread_local uint64_t attached = 0;

// Verilator keeps the context used last in a plain static variable, so changes of context are made one at a time.
std::mutex& context_mutex() {
    static std::mutex mutex;
    return mutex;
}

void attach(Instance* instance) {
    if (attached == instance->number) return;
    const std::lock_guard<std::mutex> guard{context_mutex()};
    Verilated::threadContextp(instance->context.get());
    attached = instance->number;
}

// Runs `action` for an instance. Returns 0, or 1 with `message` set; no exception leaves.
template <typename Action>
int guarded(Instance* instance, Action action) {
    int status = 1;
    inside = instance;
    try {
        action();
        status = 0;
    } catch (const Stopped&) {
        // `stopped` has set the message.
    } catch (const std::exception& error) {
        instance->message = error.what();
    } catch (...) {
        instance->message = "an unknown C++ exception";
    }
    inside = nullptr;
    return status;
}

void stopped(const char* what, const char* file, int line) {
    // Outside of a guarded call nothing could catch; that is only while an instance is destroyed.
    if (!inside) return;
    inside->message = what;
    if (file && file[0]) inside->message += std::string{" at "} + file + ":" + std::to_string(line);
    if (!inside->printed.empty()) inside->message += "; it printed: " + inside->printed;
    while (inside->message.back() == '\n') inside->message.pop_back();
    throw Stopped{};
}

template <typename Scalar>
void set_scalar(Scalar& port, const uint64_t* words, uint64_t mask) {
    port = static_cast<Scalar>(words[0] & mask);
}

template <std::size_t N>
void set_wide(VlWide<N>& port, const uint64_t* words, uint32_t top_mask) {
    for (std::size_t i = 0; i < N; ++i) port[i] = static_cast<uint32_t>(words[i / 2] >> (32 * (i % 2)));
    port[N - 1] &= top_mask;
}

template <std::size_t N>
void get_wide(const VlWide<N>& port, uint64_t* words, uint32_t top_mask) {
    for (std::size_t i = 0; i + 1 < N; i += 2) words[i / 2] = port[i] | static_cast<uint64_t>(port[i + 1]) << 32;
    if (N % 2) words[N / 2] = port[N - 1];
    words[(N - 1) / 2] &= ~(static_cast<uint64_t>(~top_mask) << (32 * ((N - 1) % 2)));
}

}  // namespace

extern "C" int xnf_printf(const char* format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    const int length = std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length > 0) std::fputs(text, stderr);
    if (length > 0 && inside) {
        inside->printed += text;
        const std::size_t size = inside->printed.size();
        if (size > PRINTED_BYTES_MAX) inside->printed.erase(0, size - PRINTED_BYTES_MAX);
    }
    return length;
}

void vl_finish(const char* file, int line, const char*) { stopped("$finish", file, line); }
void vl_stop(const char* file, int line, const char*) { stopped("$stop or $fatal", file, line); }
void vl_fatal(const char* file, int line, const char*, const char* message) { stopped(message, file, line); }

// A new instance whose registers hold random values until they are written. On failure null, with the reason in `reason`.
XNF_EXPORT void* xnf_new(uint32_t seed, char* reason, std::size_t reason_bytes) {
    static std::atomic<uint64_t> count{0};
    std::unique_ptr<Instance> instance;
    try {
        instance.reset(new Instance{++count});
    } catch (...) {
        std::snprintf(reason, reason_bytes, "out of memory");
        return nullptr;
    }
    const int status = guarded(instance.get(), [&] {
        const std::lock_guard<std::mutex> guard{context_mutex()};
        instance->context.reset(new VerilatedContext);
        attached = instance->number;
        instance->context->randReset(2);
        instance->context->randSeed(static_cast<int>(seed));
#if VM_TRACE
        instance->context->traceEverOn(true);
#endif
        instance->model.reset(new Vmodel{instance->context.get()});
    });
    if (status == 0) return instance.release();
    std::snprintf(reason, reason_bytes, "%s", instance->message.c_str());
    attached = 0;
    return nullptr;
}

XNF_EXPORT void xnf_delete(void* pointer) {
    Instance* const instance = static_cast<Instance*>(pointer);
    attach(instance);
    delete instance;
    attached = 0;
}

XNF_EXPORT int xnf_eval(void* pointer) {
    Instance* const instance = static_cast<Instance*>(pointer);
    attach(instance);
    return guarded(instance, [&] { instance->model->eval(); });
}

// Why the last call failed; stands until the next call.
XNF_EXPORT const char* xnf_message(void* pointer) { return static_cast<Instance*>(pointer)->message.c_str(); }

XNF_EXPORT void xnf_set(void* pointer, uint32_t port, const uint64_t* words) {
    Vmodel& model = *static_cast<Instance*>(pointer)->model;
    switch (port) {
        // @SET PORTS@
        default: break;
    }
}

XNF_EXPORT void xnf_get(void* pointer, uint32_t port, uint64_t* words) {
    const Vmodel& model = *static_cast<Instance*>(pointer)->model;
    switch (port) {
        // @GET PORTS@
        default: break;
    }
}

XNF_EXPORT int xnf_trace_open(void* pointer, const char* path) {
    Instance* const instance = static_cast<Instance*>(pointer);
    attach(instance);
    return guarded(instance, [&] {
#if VM_TRACE
        instance->trace.reset(new VerilatedVcdC);
        instance->model->trace(instance->trace.get(), 99);
        instance->trace->open(path);
        if (instance->trace->isOpen()) return;
        instance->trace.reset();
        instance->message = std::string{"cannot write the waveform "} + path;
#else
        instance->message = std::string{"this build has no tracing, so there is no waveform "} + path;
#endif
        throw Stopped{};
    });
}

XNF_EXPORT int xnf_trace_dump(void* pointer, uint64_t time) {
    Instance* const instance = static_cast<Instance*>(pointer);
    attach(instance);
    return guarded(instance, [&] {
#if VM_TRACE
        if (instance->trace) instance->trace->dump(time);
#endif
        (void)time;
    });
}

XNF_EXPORT int xnf_trace_close(void* pointer) {
    Instance* const instance = static_cast<Instance*>(pointer);
    attach(instance);
    return guarded(instance, [&] {
#if VM_TRACE
        if (instance->trace) instance->trace->close();
        instance->trace.reset();
#endif
    });
}
