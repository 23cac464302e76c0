// Entmax of any alpha = 1 + a between 1 and 2, rows of scores to rows of weights and back; included once a level, see
// loops.cpp. What alpha 1.5 and 2 need no powers for is in rows.h.

// A row's numbers between two passes.
INLINE float* row_of(int64_t padded, float* few, int64_t held) {
    return padded <= held ? few : (float*)malloc(padded * sizeof(float));
}

// ln of p = (1 + a u)^(1/a) for u <= 0, -infinity where 1 + a u is not above zero, and 1 / (1 + a u), else 0.
INLINE Floats log_weight(Floats u, float a, float inverse_a, Floats* over) {
    const Floats least = every(-1.0f), hidden = every(-__builtin_inff()), zero = {};
    Floats t = u * a;
    t = t > least ? t : least;
    const Floats w = t + 1.0f;
    // What the sum rounded away: it counts as much as the rest where a is small.
    const Floats lost = t - (w - 1.0f);
    const Floats inverse = 1.0f / w;
    *over = w > zero ? inverse : zero;
    return w > zero ? (logarithm_of(w) + lost * inverse) * inverse_a : hidden;
}

// The numbers of y above `least`, side by side in `some`, and -infinity up to a whole vector; how many vectors' floats.
INLINE int64_t gather_above(const float* y, int64_t count, float least, float* some) {
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        some[found] = y[i];
        found += y[i] > least;
    }
    while (found % LANES) some[found++] = -__builtin_inff();
    return found;
}

// Newton's steps on the 1/a-norm of 1 + a (y - s), convex in s: they climb from 0 and never pass the root, so what has
// no weight at one step has none at the next, and is left out.
INLINE float entmax_threshold(const float* y, int64_t padded, float a, float* some) {
    const float inverse_a = 1.0f / a;
    float s = 0.0f;
    int64_t count = gather_above(y, padded, -inverse_a, some), before = padded;
    for (int step = 0; step < 64; step++) {
        Floats weights = {}, slopes = {};
        for (int64_t i = 0; i < count; i += LANES) {
            Floats over;
            const Floats p = exponential_of(log_weight(load(some + i) - s, a, inverse_a, &over));
            weights += p;
            slopes += p * over;
        }
        const double sum = total(weights);
        s -= (float)(sum * expm1(-a * log(sum)) / (a * total(slopes)));
        if (sum - 1.0 < 1e-5) break;
        // Another look pays where the last one left out an eighth. In place: what is written has been read.
        if (8 * count > 7 * before) continue;
        before = count;
        count = gather_above(some, count, s - inverse_a, some);
    }
    return s;
}

static void entmax(const void* arguments, int64_t first, int64_t last) {
    const Entmax* f = (const Entmax*)arguments;
    const int64_t padded = (f->size + STEP - 1) / STEP * STEP;
    const float inverse_a = 1.0f / f->a;
    float few[2048];
    float* y = row_of(2 * padded, few, 2048);
    for (int64_t row = first; row < last; row++) {
        float* x = f->x + row * f->stride;
        float fill;
        if (!below_top(x, f->size, 1.0f, y, padded, &fill)) {
            for (int64_t i = 0; i < f->size; i++) x[i] = fill;
            continue;
        }
        const float s = entmax_threshold(y, padded, f->a, y + padded);
        for (int64_t i = 0; i < f->size; i += LANES) {
            Floats over, p = {};
            const Floats u = load(y + i) - s;
            // A hair below the edge: log_weight itself decides there.
            if (largest(u) * f->a > -1.001f) p = exponential_of(log_weight(u, f->a, inverse_a, &over));
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
