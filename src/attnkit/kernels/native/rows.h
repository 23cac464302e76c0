// Rows of scores into rows of weights, in place, and rows of gradients; included once a level, see loops.cpp.

// A row is copied here, so that the passes over it stay in the nearest memory whatever lies between the rows. Filled
// up to whole steps of 4 vectors: four sums that do not wait for each other.
#define STEP (4 * LANES)

// The row's numbers less the largest, times `factor`, and -1 behind them; false where nothing is to be seen or where a
// number is none (`fill` is then the row's weights).
INLINE bool below_top(const float* x, int64_t size, float factor, float* y, int64_t padded, float* fill) {
    const float hidden = -__builtin_inff();
    Floats top0 = every(hidden), top1 = top0;
    Ints nan = {};
    int64_t i = 0;
    for (; i + 2 * LANES <= size; i += 2 * LANES) {
        const Floats a = load(x + i), b = load(x + i + LANES);
        top0 = larger(a, top0);
        top1 = larger(b, top1);
        nan |= (a != a) | (b != b);
    }
    for (; i < size; i += LANES) {
        const Floats a = size - i < LANES ? load_some(x + i, size - i, hidden) : load(x + i);
        top0 = larger(a, top0);
        nan |= a != a;
    }
    const float top = largest(larger(top0, top1));
    bool broken = top == __builtin_inff();
    for (int lane = 0; lane < LANES; lane++) broken |= nan[lane] != 0;
    if (broken || top == hidden) {
        *fill = broken ? __builtin_nanf("") : 0.0f;
        return false;
    }
    for (i = 0; i + LANES <= size; i += LANES) store(y + i, (load(x + i) - top) * factor);
    if (i < size) {
        store(y + i, (load_some(x + i, size - i, hidden) - top) * factor);
        i += LANES;
    }
    for (; i < padded; i += LANES) store(y + i, every(hidden));
    return true;
}

// Newton's steps on the norm of the part of y above tau: the norm is convex in tau, so they climb from -1, where it is at
// least one, and never pass the root. `square` says whether it is the norm of squares (alpha = 1.5) or the sum (2).
INLINE float threshold(const float* y, int64_t padded, bool square) {
    const Floats zero = {};
    float tau = -1.0f;
    double before = 0;
    for (int step = 0; step < 64; step++) {
        Floats sums[4] = {}, others[4] = {};
        for (int64_t i = 0; i < padded; i += STEP)
            for (int k = 0; k < 4; k++) {
                const Floats u = load(y + i + k * LANES) - tau;
                const Floats above = u > zero ? u : zero;
                sums[k] += above;
                if (square)
                    others[k] += above * above;
                else
                    others[k] += u > zero ? every(1.0f) : zero;
            }
        const double sum = total((sums[0] + sums[1]) + (sums[2] + sums[3]));
        const double other = total((others[0] + others[1]) + (others[2] + others[3]));
        const double excess = square ? other - 1.0 : sum - 1.0;
        tau += (float)(square ? (other - sqrt(other)) / sum : excess / other);
        // Sums of squares meet the root quadratically; plain sums exactly, once the support stays.
        if (square ? excess < 1e-5 : other == before) break;
        before = other;
    }
    return tau;
}

INLINE void rows_to_weights(const Rows* a, int64_t first, int64_t last, bool square) {
    const int64_t padded = (a->size + STEP - 1) / STEP * STEP;
    float few[1024];
    float* y = padded <= 1024 ? few : (float*)malloc(padded * sizeof(float));
    for (int64_t row = first; row < last; row++) {
        float* x = a->x + row * a->stride;
        float fill;
        if (!below_top(x, a->size, square ? 0.5f : 1.0f, y, padded, &fill)) {
            for (int64_t i = 0; i < a->size; i++) x[i] = fill;
            continue;
        }
        const Floats zero = {};
        const float tau = threshold(y, padded, square);
        for (int64_t i = 0; i < a->size; i += LANES) {
            const Floats u = load(y + i) - tau;
            const Floats above = u > zero ? u : zero;
            const Floats weight = square ? above * above : above;
            if (a->size - i < LANES)
                store_some(x + i, a->size - i, weight);
            else
                store(x + i, weight);
        }
    }
    if (y != few) free(y);
}

static void sparsemax(const void* arguments, int64_t first, int64_t last) {
    rows_to_weights((const Rows*)arguments, first, last, false);
}

static void entmax15(const void* arguments, int64_t first, int64_t last) {
    rows_to_weights((const Rows*)arguments, first, last, true);
}

// How much a weight w > 0 follows its score: w^(2 - alpha).
INLINE Floats slope_of(Floats weight, bool square) {
    const Floats zero = {};
    if (!square) return weight > zero ? every(1.0f) : zero;
    Floats root;
    for (int i = 0; i < LANES; i++) root[i] = __builtin_sqrtf(weight[i]);
    return root;
}

// grad becomes slope * (grad - mean of grad by slope).
INLINE void rows_backward(const WeightsAndGrad* a, int64_t first, int64_t last, bool square) {
    for (int64_t row = first; row < last; row++) {
        const float* w = a->weights + row * a->weights_stride;
        float* g = a->grad + row * a->grad_stride;
        Floats slopes[2] = {}, products[2] = {};
        int64_t i = 0;
        for (; i + 2 * LANES <= a->size; i += 2 * LANES)
            for (int k = 0; k < 2; k++) {
                const Floats slope = slope_of(load(w + i + k * LANES), square);
                slopes[k] += slope;
                products[k] += slope * load(g + i + k * LANES);
            }
        for (; i < a->size; i += LANES) {
            const int64_t left = a->size - i;
            const Floats slope = slope_of(left < LANES ? load_some(w + i, left, 0.0f) : load(w + i), square);
            slopes[0] += slope;
            products[0] += slope * (left < LANES ? load_some(g + i, left, 0.0f) : load(g + i));
        }
        const double weight = total(slopes[0] + slopes[1]);
        const float mean = weight > 0 ? (float)(total(products[0] + products[1]) / weight) : 0.0f;
        for (i = 0; i + LANES <= a->size; i += LANES)
            store(g + i, slope_of(load(w + i), square) * (load(g + i) - mean));
        if (i < a->size) {
            const int64_t left = a->size - i;
            const Floats slope = slope_of(load_some(w + i, left, 0.0f), square);
            store_some(g + i, left, slope * (load_some(g + i, left, 0.0f) - mean));
        }
    }
}

static void sparsemax_backward(const void* arguments, int64_t first, int64_t last) {
    rows_backward((const WeightsAndGrad*)arguments, first, last, false);
}

static void entmax15_backward(const void* arguments, int64_t first, int64_t last) {
    rows_backward((const WeightsAndGrad*)arguments, first, last, true);
}

INLINE Words mixed(Words h) {
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    return h * 0x846ca68bu;
}

INLINE Words keys_of(Words index, uint32_t start) {
    index = mixed(index);
    index = mixed((index ^ (index >> 16)) ^ start);
    return index ^ (index >> 16);
}

// A weight stays, scaled, where the hash of its row's and its column's key is at least `least`.
static void dropout(const void* arguments, int64_t first, int64_t last) {
    const Dropout* a = (const Dropout*)arguments;
    const int64_t padded = (a->size + LANES - 1) / LANES * LANES;
    int32_t few[1024];
    int32_t* columns = padded <= 1024 ? few : (int32_t*)malloc(padded * sizeof(int32_t));
    Words index;
    for (int lane = 0; lane < LANES; lane++) index[lane] = (uint32_t)a->column + lane;
    for (int64_t i = 0; i < padded; i += LANES) {
        const Words keys = keys_of(index + (uint32_t)i, (uint32_t)a->column_start);
        memcpy(columns + i, &keys, sizeof keys);
    }
    for (int64_t row = first; row < last; row++) {
        float* x = a->x + row * a->stride;
        const uint32_t row_key = keys_of((uint32_t)(a->row + row) + Words{}, (uint32_t)a->row_start)[0];
        for (int64_t i = 0; i < a->size; i += LANES) {
            const int64_t left = a->size - i;
            const Words h = mixed((Words)load_ints(columns + i) + row_key);
            const Floats zero = {};
            const Floats given = left < LANES ? load_some(x + i, left, 0.0f) : load(x + i);
            const Floats weight = (Ints)h >= a->least ? given * a->scale : zero;
            if (left < LANES)
                store_some(x + i, left, weight);
            else
                store(x + i, weight);
        }
    }
    if (columns != few) free(columns);
}

static void exponential(const void* arguments, int64_t first, int64_t last) {
    const Rows* a = (const Rows*)arguments;
    for (int64_t row = first; row < last; row++) {
        float* x = a->x + row * a->stride;
        int64_t i = 0;
        for (; i + LANES <= a->size; i += LANES) store(x + i, exponential_of(load(x + i)));
        if (i < a->size) store_some(x + i, a->size - i, exponential_of(load_some(x + i, a->size - i, 0.0f)));
    }
}
