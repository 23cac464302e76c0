// What each loop is given: pointers, strides in elements, sizes. Python has checked all of it.
#pragma once

struct Rows {
    float* x;
    int64_t stride;
    int64_t size;
};

struct WeightsAndGrad {
    const float* weights;
    int64_t weights_stride;
    float* grad;
    int64_t grad_stride;
    int64_t size;
};

struct Entmax {
    float* x;
    int64_t stride;
    int64_t size;
    float a;
};

struct EntmaxBackward {
    const float* weights;
    int64_t weights_stride;
    float* grad;
    int64_t grad_stride;
    int64_t size;
    float a;
};

struct Dropout {
    float* x;
    int64_t stride;
    int64_t size;
    // Keys are hashes of an index and of one of these, which stand for seed, head and axis.
    int32_t row_start;
    int32_t row;
    int32_t column_start;
    int32_t column;
    int32_t least;
    float scale;
};

struct Cap {
    float* x;
    int64_t stride;
    // Null where it is not wanted.
    float* slope;
    int64_t slope_stride;
    int64_t size;
    float cap;
};

// Keys whose gradients one thread collects at a time.
#define ADDITIVE_STRIP 256

// Prepared queries (rows, hidden) and keys (hidden, keys and at least 31 numbers more); `_power` where the form has it.
struct Additive {
    const float* a;
    const float* a_power;
    const float* b;
    const float* b_power;
    int64_t b_stride;
    const float* v;
    int64_t hidden;
    int64_t keys;
    int32_t form;
};

struct AdditiveScores {
    Additive factors;
    float* x;
    int64_t stride;
};

struct AdditiveGrads {
    Additive factors;
    const float* grad;
    int64_t stride;
    int64_t rows;
    float* d_a;
    float* d_b;
    int64_t d_b_stride;
    float* d_v;
};

// Hidden on both sides of a window's mask: a tile and a block may look that far beyond.
#define WINDOW_MARGIN 64
// Queries that one thread takes at a time.
#define WINDOW_STRETCH 256

struct WindowTensor {
    float* x;
    int64_t item;
    int64_t head;
    int64_t token;
};

// Query t stands at t + offset and meets keys from `behind` before to `ahead` after it. The mask holds what is added to
// the score of query i and key j at WINDOW_MARGIN + ahead + i - j, and -inf in its margins; it is zero elsewhere unless
// `biased`. Gradients of keys and values are added to what is there.
struct Window {
    WindowTensor q, k, v, out, log_sum, grad, d_q, d_k, d_v;
    const float* mask;
    int64_t mask_head;
    const uint8_t* keep;
    int64_t keep_item, keep_token;
    int64_t items, heads, queries, keys, offset, behind, ahead, width;
    int64_t biased;
    float scale;
};
