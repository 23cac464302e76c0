// The inner loops that PyTorch's operators cannot express without passing over memory many times.
//
// Each loop is written once, in a header of its concept (rows.h, ...), over vectors of LANES floats, and compiled here
// once a level of instructions: the header is included inside a namespace a level. At run time the best level that the
// processor knows is taken. Nothing here knows of torch or of Python: the functions at the end take pointers and sizes,
// and are called through ctypes, which releases the interpreter's lock meanwhile.
//
// To add a loop:
//   1. its arguments, a struct, into arguments.h;
//   2. its body into the header of its concept (a new header is included in levels.h): a function
//      `static void NAME(const void* arguments, int64_t first, int64_t last)` that does rows first to last - 1, with
//      vector.h and C alone: a template of the standard library would be shared between levels;
//   3. its name into LOOPS below, and a function for ctypes at the end of this file;
//   4. that function's signature into SIGNATURES in loading.py, and INTERFACE raised by one here and there;
//   5. a wrapper in Python that checks types, strides and sizes before it passes a pointer.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// After the C library, on which it stands.
#include "arguments.h"

#define INTERFACE 6
#define LOOPS(LOOP) \
    LOOP(sparsemax) LOOP(sparsemax_backward) LOOP(entmax15) LOOP(entmax15_backward) LOOP(entmax) \
    LOOP(entmax_backward) LOOP(dropout) LOOP(exponential) LOOP(cap) LOOP(additive) LOOP(additive_backward) \
    LOOP(window) LOOP(window_backward)

typedef void (*Body)(const void* arguments, int64_t first, int64_t last);

struct Level {
    const char* name;
#define LOOP(name) Body name;
    LOOPS(LOOP)
#undef LOOP
};

#define LOOP(name) &name,
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define X86 1

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
namespace avx512 {
#define LANES 16
#include "levels.h"
static const Level level = {"AVX-512", LOOPS(LOOP)};
#undef LANES
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace avx2 {
#define LANES 8
#include "levels.h"
static const Level level = {"AVX2", LOOPS(LOOP)};
#undef LANES
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

namespace baseline {
#define LANES 4
#include "levels.h"
static const Level level = {"baseline", LOOPS(LOOP)};
#undef LANES
}  // namespace baseline
#undef LOOP

// Best first.
static int known(const Level* levels[3]) {
    int count = 0;
#ifdef X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
        levels[count++] = &avx512::level;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) levels[count++] = &avx2::level;
#endif
    levels[count++] = &baseline::level;
    return count;
}

static const Level* chosen() {
    const Level* levels[3];
    known(levels);
    return levels[0];
}

static const Level* current = chosen();

// Below this many steps of the innermost loop a thread costs more than it saves.
static const int64_t WORTH_A_THREAD = 1 << 17;

// Threads are made for a call and end with it: none is left that a fork could lose.
static void spread(Body body, const void* arguments, int64_t rows, int64_t steps_a_row, int32_t threads) {
    int64_t parts = rows * steps_a_row / WORTH_A_THREAD;
    if (parts > threads) parts = threads;
    if (parts > rows) parts = rows;
    if (parts < 2) return body(arguments, 0, rows);
    std::vector<std::thread> others;
    others.reserve(parts - 1);
    int64_t part = 1;
    try {
        for (; part < parts; part++)
            others.emplace_back(body, arguments, rows * part / parts, rows * (part + 1) / parts);
    } catch (...) {
        // No thread is to be had: this one does the rest.
        body(arguments, rows * part / parts, rows);
    }
    body(arguments, 0, rows / parts);
    for (auto& other : others) other.join();
}

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

// Extension modules need this name on Windows; nobody imports this one.
EXPORT void* PyInit__loops() { return nullptr; }

EXPORT int32_t attnkit_interface() { return INTERFACE; }

EXPORT const char* attnkit_level() { return current->name; }

// For tests: the level `index` from the best on; false where this processor has none such.
EXPORT int32_t attnkit_use_level(int32_t index) {
    const Level* levels[3];
    if (index < 0 || index >= known(levels)) return 0;
    current = levels[index];
    return 1;
}

EXPORT void attnkit_sparsemax(float* x, int64_t stride, int64_t rows, int64_t size, int32_t threads) {
    const Rows arguments = {x, stride, size};
    spread(current->sparsemax, &arguments, rows, 2 * size, threads);
}

EXPORT void attnkit_entmax15(float* x, int64_t stride, int64_t rows, int64_t size, int32_t threads) {
    const Rows arguments = {x, stride, size};
    spread(current->entmax15, &arguments, rows, 2 * size, threads);
}

EXPORT void attnkit_sparsemax_backward(const float* weights, int64_t weights_stride, float* grad, int64_t grad_stride,
                                       int64_t rows, int64_t size, int32_t threads) {
    const WeightsAndGrad arguments = {weights, weights_stride, grad, grad_stride, size};
    spread(current->sparsemax_backward, &arguments, rows, size, threads);
}

EXPORT void attnkit_entmax15_backward(const float* weights, int64_t weights_stride, float* grad, int64_t grad_stride,
                                      int64_t rows, int64_t size, int32_t threads) {
    const WeightsAndGrad arguments = {weights, weights_stride, grad, grad_stride, size};
    spread(current->entmax15_backward, &arguments, rows, size, threads);
}

EXPORT void attnkit_entmax(float* x, int64_t stride, int64_t rows, int64_t size, float a, int32_t threads) {
    const Entmax arguments = {x, stride, size, a};
    spread(current->entmax, &arguments, rows, 8 * size, threads);
}

EXPORT void attnkit_entmax_backward(const float* weights, int64_t weights_stride, float* grad, int64_t grad_stride,
                                    int64_t rows, int64_t size, float a, int32_t threads) {
    const EntmaxBackward arguments = {weights, weights_stride, grad, grad_stride, size, a};
    spread(current->entmax_backward, &arguments, rows, 3 * size, threads);
}

EXPORT void attnkit_dropout(float* x, int64_t stride, int64_t rows, int64_t size, int32_t row_start, int32_t row,
                            int32_t column_start, int32_t column, int32_t least, float scale, int32_t threads) {
    const Dropout arguments = {x, stride, size, row_start, row, column_start, column, least, scale};
    spread(current->dropout, &arguments, rows, size, threads);
}

EXPORT void attnkit_exponential(float* x, int64_t stride, int64_t rows, int64_t size, int32_t threads) {
    const Rows arguments = {x, stride, size};
    spread(current->exponential, &arguments, rows, 2 * size, threads);
}

EXPORT void attnkit_cap(float* x, int64_t stride, float* slope, int64_t slope_stride, int64_t rows, int64_t size,
                        float cap, int32_t threads) {
    const Cap arguments = {x, stride, slope, slope_stride, size, cap};
    spread(current->cap, &arguments, rows, 3 * size, threads);
}

EXPORT void attnkit_additive(const float* a, const float* a_power, const float* b, const float* b_power,
                             int64_t b_stride, const float* v, int64_t hidden, int64_t keys, int32_t form, float* x,
                             int64_t stride, int64_t rows, int32_t threads) {
    const AdditiveScores arguments = {{a, a_power, b, b_power, b_stride, v, hidden, keys, form}, x, stride};
    spread(current->additive, &arguments, rows, keys * hidden / 4, threads);
}

EXPORT void attnkit_additive_backward(const float* a, const float* a_power, const float* b, const float* b_power,
                                      int64_t b_stride, const float* v, int64_t hidden, int64_t keys, int32_t form,
                                      const float* grad, int64_t stride, int64_t rows, float* d_a, float* d_b,
                                      int64_t d_b_stride, float* d_v, int32_t threads) {
    const AdditiveGrads arguments = {
        {a, a_power, b, b_power, b_stride, v, hidden, keys, form}, grad, stride, rows, d_a, d_b, d_b_stride, d_v};
    const int64_t strips = (keys + ADDITIVE_STRIP - 1) / ADDITIVE_STRIP;
    spread(current->additive_backward, &arguments, strips, rows * hidden * ADDITIVE_STRIP / 4, threads);
}

// The struct is laid out by ctypes, which does it as C does.
EXPORT void attnkit_window(const Window* w, int32_t threads) {
    const int64_t stretches = w->items * w->heads * ((w->queries + WINDOW_STRETCH - 1) / WINDOW_STRETCH);
    spread(current->window, w, stretches, WINDOW_STRETCH * (w->behind + w->ahead + 1) * w->width / 8, threads);
}

EXPORT void attnkit_window_backward(const Window* w, int32_t threads) {
    spread(current->window_backward, w, w->items * w->heads, w->queries * (w->behind + w->ahead + 1) * w->width / 4,
           threads);
}
