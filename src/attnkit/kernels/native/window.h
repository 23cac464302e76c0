// Softmax attention where a query meets only keys near it, and its gradients; included once a level, see loops.cpp.
//
// A tile of queries stands in the lanes, one key a row: scores, maxima and sums need no step across lanes, and only the
// tile's queries are turned about. Every product is one of three loops whose sums stay in registers.

#define WINDOW_TILE (2 * LANES)
// Rows of a block in registers, two vectors wide: as many as there are registers for.
#if LANES == 16
#define WINDOW_ROWS 8
#else
#define WINDOW_ROWS 4
#endif

// y_rl = sum_d x_rd t_dl: ROWS rows of x on the tile's lanes.
template <int ROWS>
INLINE void window_dots(const float* x, int64_t x_stride, const float* t, int64_t width, Floats y[ROWS][2]) {
    for (int r = 0; r < ROWS; r++) y[r][0] = y[r][1] = Floats{};
    for (int64_t d = 0; d < width; d++) {
        const Floats t0 = load(t + d * WINDOW_TILE), t1 = load(t + d * WINDOW_TILE + LANES);
        for (int r = 0; r < ROWS; r++) {
            const float value = x[r * x_stride + d];
            y[r][0] += value * t0;
            y[r][1] += value * t1;
        }
    }
}

// y_re += sum_n p_nr x_ne, p_nr at p[n * p_step + r * p_row]: ROWS rows and VECTORS vectors.
template <int ROWS, int VECTORS>
INLINE void window_mix(const float* p, int64_t p_step, int64_t p_row, const float* x, int64_t x_stride, int64_t size,
                       Floats y[ROWS][2]) {
    for (int64_t n = 0; n < size; n++, p += p_step, x += x_stride) {
        Floats row[2];
        for (int i = 0; i < VECTORS; i++) row[i] = load(x + i * LANES);
        for (int r = 0; r < ROWS; r++) {
            const float value = p[r * p_row];
            for (int i = 0; i < VECTORS; i++) y[r][i] += value * row[i];
        }
    }
}

// y_re (+)= factor_r sum_n p_nr x_ne for all of the width, where `rows` of ROWS are wanted.
template <int ROWS, bool ADDED>
INLINE void window_product(const float* p, int64_t p_step, int64_t p_row, const float* x, int64_t x_stride, int64_t size,
                           float* y, int64_t y_stride, int64_t rows, int64_t width, const float* factor) {
    for (int64_t e = 0; e < width; e += 2 * LANES) {
        const int vectors = width - e >= 2 * LANES ? 2 : 1;
        Floats sum[ROWS][2];
        for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = Floats{};
        if (vectors == 2)
            window_mix<ROWS, 2>(p, p_step, p_row, x + e, x_stride, size, sum);
        else
            window_mix<ROWS, 1>(p, p_step, p_row, x + e, x_stride, size, sum);
        for (int r = 0; r < ROWS; r++) {
            if (r >= rows) break;
            for (int i = 0; i < vectors; i++) {
                float* to = y + r * y_stride + e + i * LANES;
                store(to, ADDED ? load(to) + sum[r][i] : sum[r][i] * factor[r]);
            }
        }
    }
}

// One tile: `count` queries from `query` on, the keys `low` to `high` - 1 in reach of any of them.
struct WindowTile {
    int64_t item, head, query, position, count, low, high;
};

// The keys are made a multiple of a block where there are some to spare in front: the mask hides them.
INLINE WindowTile window_tile(const Window* w, int64_t item, int64_t head, int64_t query) {
    WindowTile t = {item, head, query, query + w->offset, WINDOW_TILE, 0, 0};
    if (t.count > w->queries - query) t.count = w->queries - query;
    t.low = t.position - w->behind > 0 ? t.position - w->behind : 0;
    t.high = t.position + t.count + w->ahead < w->keys ? t.position + t.count + w->ahead : w->keys;
    if (t.high < t.low) t.high = t.low;
    if (t.high > t.low)
        while ((t.high - t.low) % WINDOW_ROWS && t.low) t.low--;
    return t;
}

INLINE float* window_at(const WindowTensor* x, const WindowTile* t, int64_t token) {
    return x->x + t->item * x->item + t->head * x->head + token * x->token;
}

// The tile's rows as columns, zeros beside them.
INLINE void window_turned(const WindowTensor* x, const WindowTile* t, int64_t width, float factor, float* y) {
    for (int64_t l = 0; l < WINDOW_TILE; l++) {
        const float* row = window_at(x, t, t->query + l);
        for (int64_t d = 0; d < width; d++) y[d * WINDOW_TILE + l] = l < t->count ? row[d] * factor : 0.0f;
    }
}

// ROWS keys from `key` on: their scores, -inf where hidden.
template <int ROWS>
INLINE void window_scores(const Window* w, const WindowTile* t, int64_t key, const float* turned, Floats y[ROWS][2]) {
    window_dots<ROWS>(window_at(&w->k, t, key), w->k.token, turned, w->width, y);
    const float* mask = w->mask + t->head * w->mask_head + WINDOW_MARGIN + w->ahead + t->position;
    // Seen by every query of the tile.
    const int64_t first = t->position + WINDOW_TILE - 1 - w->behind, last = t->position + w->ahead;
    for (int r = 0; r < ROWS; r++) {
        const int64_t j = key + r;
        if (w->keep && !w->keep[t->item * w->keep_item + j * w->keep_token]) {
            y[r][0] = y[r][1] = every(-__builtin_inff());
        } else if (w->biased || j < first || j > last) {
            y[r][0] += load(mask - j);
            y[r][1] += load(mask - j + LANES);
        }
    }
}

// Room for `rows` rows of a tile, on a border of 64 bytes.
struct WindowRoom {
    float* all;
    float* x;
    explicit WindowRoom(int64_t rows) {
        all = (float*)malloc((rows * WINDOW_TILE + 16) * sizeof(float));
        x = (float*)(((uintptr_t)all + 63) & ~(uintptr_t)63);
    }
    ~WindowRoom() { free(all); }
};

INLINE int64_t window_reach(const Window* w) { return w->behind + w->ahead + WINDOW_TILE + WINDOW_ROWS; }

template <int ROWS>
INLINE void window_row(const Window* w, const WindowTile* t, int64_t key, const float* turned, float* p, Floats top[2]) {
    Floats y[ROWS][2];
    window_scores<ROWS>(w, t, key, turned, y);
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < 2; i++) {
            store(p + (key - t->low + r) * WINDOW_TILE + i * LANES, y[r][i]);
            top[i] = larger(top[i], y[r][i]);
        }
}

// Stretches of queries, item by item and head by head.
static void window(const void* arguments, int64_t first, int64_t last) {
    const Window* w = (const Window*)arguments;
    const int64_t stretches = (w->queries + WINDOW_STRETCH - 1) / WINDOW_STRETCH;
    const int64_t tiles = WINDOW_STRETCH / WINDOW_TILE;
    WindowRoom turned(w->width), room(window_reach(w));
    float* p = room.x;
    for (int64_t each = first * tiles; each < last * tiles; each++) {
        const int64_t unit = each / tiles;
        const int64_t query = unit % stretches * WINDOW_STRETCH + each % tiles * WINDOW_TILE;
        if (query >= w->queries) continue;
        const WindowTile tile = window_tile(w, unit / stretches / w->heads, unit / stretches % w->heads, query);
        const WindowTile* t = &tile;
        window_turned(&w->q, t, w->width, w->scale, turned.x);
        Floats top[2] = {every(-__builtin_inff()), every(-__builtin_inff())};
        int64_t key = t->low;
        for (; key + WINDOW_ROWS <= t->high; key += WINDOW_ROWS) window_row<WINDOW_ROWS>(w, t, key, turned.x, p, top);
        for (; key < t->high; key++) window_row<1>(w, t, key, turned.x, p, top);
        Floats sum[2] = {}, even[2] = {};
        for (int i = 0; i < 2; i++) {
            const Floats zero = {};
            top[i] = top[i] == -__builtin_inff() ? zero : top[i];
        }
        for (int64_t n = 0; n < t->high - t->low; n++)
            for (int i = 0; i < 2; i++) {
                const Floats weight = exponential_of(load(p + n * WINDOW_TILE + i * LANES) - top[i]);
                store(p + n * WINDOW_TILE + i * LANES, weight);
                // Two sums that do not wait for each other.
                if (n & 1) sum[i] += weight;
                else even[i] += weight;
            }
        float factor[WINDOW_TILE];
        for (int64_t l = 0; l < t->count; l++) {
            const int i = l / LANES, lane = l % LANES;
            const float total = sum[i][lane] + even[i][lane];
            factor[l] = total > 0 ? 1.0f / total : 0.0f;
            *window_at(&w->log_sum, t, t->query + l) = total > 0 ? top[i][lane] + logf(total) : -__builtin_inff();
        }
        for (int64_t l = 0; l < t->count; l += WINDOW_ROWS) {
            const int64_t rows = t->count - l < WINDOW_ROWS ? t->count - l : WINDOW_ROWS;
            int64_t low = t->position + l - w->behind, high = t->position + l + rows + w->ahead;
            if (low < t->low) low = t->low;
            if (high > t->high) high = t->high;
            window_product<WINDOW_ROWS, false>(p + (low - t->low) * WINDOW_TILE + l, WINDOW_TILE, 1,
                                               window_at(&w->v, t, low), w->v.token, high - low,
                                               window_at(&w->out, t, t->query + l), w->out.token, rows, w->width,
                                               factor + l);
        }
    }
}

// Weights p and the gradients s of their scores.
template <int ROWS>
INLINE void window_grads(const Window* w, const WindowTile* t, int64_t key, const float* turned, const float* grad,
                         const Floats log_sum[2], const Floats delta[2], float* p, float* s) {
    Floats y[ROWS][2];
    window_scores<ROWS>(w, t, key, turned, y);
    const int64_t at = (key - t->low) * WINDOW_TILE;
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < 2; i++)
            store(p + at + r * WINDOW_TILE + i * LANES, exponential_of(y[r][i] - log_sum[i]));
    window_dots<ROWS>(window_at(&w->v, t, key), w->v.token, grad, w->width, y);
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < 2; i++) {
            const int64_t here = at + r * WINDOW_TILE + i * LANES;
            store(s + here, load(p + here) * (y[r][i] - delta[i]) * w->scale);
        }
}

// What ROWS keys from `key` on get from the tile's queries, those in reach of them.
template <int ROWS>
INLINE void window_key_grads(const Window* w, const WindowTile* t, int64_t key, const float* p, const float* s) {
    int64_t low = key - w->ahead - t->position, high = key + ROWS + w->behind - t->position;
    if (low < 0) low = 0;
    if (high > t->count) high = t->count;
    if (high <= low) return;
    const int64_t at = (key - t->low) * WINDOW_TILE + low;
    window_product<ROWS, true>(p + at, 1, WINDOW_TILE, window_at(&w->grad, t, t->query + low), w->grad.token, high - low,
                               window_at(&w->d_v, t, key), w->d_v.token, ROWS, w->width, nullptr);
    window_product<ROWS, true>(s + at, 1, WINDOW_TILE, window_at(&w->q, t, t->query + low), w->q.token, high - low,
                               window_at(&w->d_k, t, key), w->d_k.token, ROWS, w->width, nullptr);
}

// Whole heads: tiles next to one another share keys.
static void window_backward(const void* arguments, int64_t first, int64_t last) {
    const Window* w = (const Window*)arguments;
    WindowRoom turned(w->width), grad(w->width), weights(window_reach(w)), scores(window_reach(w));
    float *p = weights.x, *s = scores.x;
    float ones[WINDOW_ROWS];
    for (int r = 0; r < WINDOW_ROWS; r++) ones[r] = 1.0f;
    for (int64_t unit = first; unit < last; unit++)
        for (int64_t query = 0; query < w->queries; query += WINDOW_TILE) {
            const WindowTile tile = window_tile(w, unit / w->heads, unit % w->heads, query);
            const WindowTile* t = &tile;
            window_turned(&w->q, t, w->width, w->scale, turned.x);
            window_turned(&w->grad, t, w->width, 1.0f, grad.x);
            float sums[WINDOW_TILE] = {}, deltas[WINDOW_TILE] = {};
            for (int64_t l = 0; l < t->count; l++) {
                sums[l] = *window_at(&w->log_sum, t, query + l);
                const float *a = window_at(&w->grad, t, query + l), *b = window_at(&w->out, t, query + l);
                Floats delta = {};
                for (int64_t e = 0; e < w->width; e += LANES) delta += load(a + e) * load(b + e);
                deltas[l] = total(delta);
            }
            const Floats log_sum[2] = {load(sums), load(sums + LANES)}, delta[2] = {load(deltas), load(deltas + LANES)};
            int64_t key = t->low;
            for (; key + WINDOW_ROWS <= t->high; key += WINDOW_ROWS)
                window_grads<WINDOW_ROWS>(w, t, key, turned.x, grad.x, log_sum, delta, p, s);
            for (; key < t->high; key++) window_grads<1>(w, t, key, turned.x, grad.x, log_sum, delta, p, s);
            for (int64_t l = 0; l < t->count; l += WINDOW_ROWS) {
                const int64_t rows = t->count - l < WINDOW_ROWS ? t->count - l : WINDOW_ROWS;
                int64_t low = t->position + l - w->behind, high = t->position + l + rows + w->ahead;
                if (low < t->low) low = t->low;
                if (high > t->high) high = t->high;
                window_product<WINDOW_ROWS, false>(s + (low - t->low) * WINDOW_TILE + l, WINDOW_TILE, 1,
                                                   window_at(&w->k, t, low), w->k.token, high - low,
                                                   window_at(&w->d_q, t, query + l), w->d_q.token, rows, w->width, ones);
            }
            for (key = t->low; key + WINDOW_ROWS <= t->high; key += WINDOW_ROWS)
                window_key_grads<WINDOW_ROWS>(w, t, key, p, s);
            for (; key < t->high; key++) window_key_grads<1>(w, t, key, p, s);
        }
}
#undef WINDOW_TILE
#undef WINDOW_ROWS
