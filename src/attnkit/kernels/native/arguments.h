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

struct Dropout {
    float* x;
    int64_t stride;
    int64_t size;
    const int32_t* row_keys;
    const int32_t* column_keys;
    int32_t least;
    float scale;
};
