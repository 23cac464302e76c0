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
