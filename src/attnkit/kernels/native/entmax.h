// Entmax of any alpha = 1 + a between 1 and 2, rows of scores to rows of weights and back; included once a level, see
// loops.cpp. What alpha 1.5 and 2 need no powers for is in rows.h.

// A row's numbers between two passes.
INLINE float* row_of(int64_t padded, float* few, int64_t held) {
    return padded <= held ? few : (float*)malloc(padded * sizeof(float));
}

// ln of p = (1 + a u)^(1/a) for u <= 0, -infinity where 1 + a u is not above zero, and 1 + a u itself.
INLINE Floats log_weight(Floats u, float a, Floats* base) {
    const Floats least = every(-1.0f), hidden = every(-__builtin_inff());
    Floats t = u * a;
    t = t > least ? t : least;
    const Floats w = t + 1.0f;
    // What the sum rounded away: it counts as much as the rest where a is small.
    const Floats lost = t - (w - 1.0f);
    *base = w;
    return w > 0.0f ? (logarithm_of(w) + lost / w) / a : hidden;
}

// Newton's steps on the 1/a-norm of 1 + a (y - s), convex in s: they climb from 0 and never pass the root.
INLINE float entmax_threshold(const float* y, int64_t padded, float a) {
    float s = 0.0f;
    for (int step = 0; step < 64; step++) {
        Floats weights = {}, slopes = {};
        for (int64_t i = 0; i < padded; i += LANES) {
            const Floats zero = {};
            Floats base;
            const Floats p = exponential_of(log_weight(load(y + i) - s, a, &base));
            weights += p;
            slopes += base > 0.0f ? p / base : zero;
        }
        const double sum = total(weights);
        s -= (float)(sum * expm1(-a * log(sum)) / (a * total(slopes)));
        if (sum - 1.0 < 1e-5) break;
    }
    return s;
}

static void entmax(const void* arguments, int64_t first, int64_t last) {
    const Entmax* f = (const Entmax*)arguments;
    const int64_t padded = (f->size + STEP - 1) / STEP * STEP;
    float few[1024];
    float* y = row_of(padded, few, 1024);
    for (int64_t row = first; row < last; row++) {
        float* x = f->x + row * f->stride;
        float fill;
        if (!below_top(x, f->size, 1.0f, y, padded, &fill)) {
            for (int64_t i = 0; i < f->size; i++) x[i] = fill;
            continue;
        }
        const float s = entmax_threshold(y, padded, f->a);
        for (int64_t i = 0; i < f->size; i += LANES) {
            Floats base;
            const Floats p = exponential_of(log_weight(load(y + i) - s, f->a, &base));
            if (f->size - i < LANES)
                store_some(x + i, f->size - i, p);
            else
                store(x + i, p);
        }
    }
    if (y != few) free(y);
}

// grad becomes slope * (grad - mean of grad by slope), slope = p^(1 - a).
static void entmax_backward(const void* arguments, int64_t first, int64_t last) {
    const EntmaxBackward* f = (const EntmaxBackward*)arguments;
    const int64_t padded = (f->size + STEP - 1) / STEP * STEP;
    float few[1024];
    float* slope = row_of(padded, few, 1024);
    for (int64_t row = first; row < last; row++) {
        const float* w = f->weights + row * f->weights_stride;
        float* g = f->grad + row * f->grad_stride;
        Floats slopes = {}, products = {};
        for (int64_t i = 0; i < f->size; i += LANES) {
            const Floats zero = {}, normal = every(1.17549435e-38f);
            const int64_t left = f->size - i;
            const Floats p = left < LANES ? load_some(w + i, left, 0.0f) : load(w + i);
            const Floats some = p >= normal ? p : normal;
            const Floats own = p >= normal ? exponential_of(logarithm_of(some) * (1.0f - f->a)) : zero;
            store(slope + i, own);
            slopes += own;
            products += own * (left < LANES ? load_some(g + i, left, 0.0f) : load(g + i));
        }
        const double weight = total(slopes);
        const float mean = weight > 0 ? (float)(total(products) / weight) : 0.0f;
        for (int64_t i = 0; i < f->size; i += LANES) {
            const int64_t left = f->size - i;
            if (left < LANES)
                store_some(g + i, left, load(slope + i) * (load_some(g + i, left, 0.0f) - mean));
            else
                store(g + i, load(slope + i) * (load(g + i) - mean));
        }
    }
    if (slope != few) free(slope);
}
