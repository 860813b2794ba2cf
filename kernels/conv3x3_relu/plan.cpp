#include "plan.h"

#include <map>
#include <utility>

namespace rsseg {
namespace {

using Sum = std::map<int, double>;  // index to coefficient

// Tiles of 4 outputs: weights at the points 0, 1, -1, 2, -2 and infinity.
constexpr float kTiled[kKinds][3] = {{0.25f, 0, 0},
                                     {-1 / 6.0f, -1 / 6.0f, -1 / 6.0f},
                                     {-1 / 6.0f, 1 / 6.0f, -1 / 6.0f},
                                     {1 / 24.0f, 1 / 12.0f, 1 / 6.0f},
                                     {1 / 24.0f, -1 / 12.0f, 1 / 6.0f},
                                     {0, 0, 1}};
constexpr int kInto[kKinds][6] = {{4, 0, -5, 0, 1, 0},   {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                  {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
constexpr int kOut[4][kKinds] = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

// The outer taps as a polynomial w2 + w0 t at 0, infinity, 1, -1 and 2, and the inner tap.
constexpr float kEnlarging[kKinds][3] = {{0, 0, 1}, {1, 0, 0}, {1, 0, 1}, {-1, 0, 1}, {2, 0, 1}, {0, 1, 0}};
enum { kW2, kW0, kAtOne, kAtMinusOne, kAtTwo, kW1 };

void add(Sum& to, const Sum& from, double factor) {
    for (const auto& [index, coefficient] : from) to[index] += factor * coefficient;
}

}  // namespace

// Collects products in any order, then sorts them by kind.
class Plan::Builder {
public:
    explicit Builder(Plan& plan) : plan_(plan) {}

    // weights of a kind times a sum of pixels, as a sum of one product
    Sum product(int kind, Sum pixels) {
        for (auto i = pixels.begin(); i != pixels.end();) {
            const bool inside = i->first >= 0 && i->first < static_cast<int>(plan_.pixels_);  // else a zero
            i = inside && i->second != 0 ? std::next(i) : pixels.erase(i);
        }
        const auto [known, added] = known_.emplace(pixels, static_cast<int>(known_.size()));
        if (added) append(plan_.sums_, pixels);
        made_.emplace_back(kind, known->second);
        return {{static_cast<int>(made_.size()) - 1, 1.0}};
    }

    void finish(const std::vector<Sum>& outputs) {
        std::vector<int> place(made_.size());
        for (int kind = 0; kind < kKinds; ++kind) {
            plan_.products_.push_back(static_cast<int>(plan_.sum_of_.size()));
            for (std::size_t i = 0; i < made_.size(); ++i) {
                if (made_[i].first != kind) continue;
                place[i] = static_cast<int>(plan_.sum_of_.size());
                plan_.sum_of_.push_back(made_[i].second);
            }
        }
        plan_.products_.push_back(static_cast<int>(plan_.sum_of_.size()));
        for (const Sum& output : outputs) {
            Sum sorted;
            for (const auto& [index, coefficient] : output)
                if (coefficient != 0) sorted[place[static_cast<std::size_t>(index)]] = coefficient;
            append(plan_.outputs_, sorted);
        }
    }

private:
    static void append(Rows& rows, const Sum& sum) {
        for (const auto& [index, coefficient] : sum) {
            rows.index.push_back(index);
            rows.coefficient.push_back(static_cast<float>(coefficient));
        }
        rows.begin.push_back(static_cast<int>(rows.index.size()));
    }

    Plan& plan_;
    std::map<Sum, int> known_;
    std::vector<std::pair<int, int>> made_;
};

namespace {

// Outputs in tiles of 4; what is left over takes 4 products for 2 outputs or 3 for 1, by the same kinds of weights.
template <class Builder>
std::vector<Sum> tiled(Builder& builder, int pixels) {
    std::vector<Sum> outputs;
    auto combination = [](int first, std::initializer_list<double> coefficients) {
        Sum sum;
        for (double c : coefficients) sum[first++] = c;
        return sum;
    };
    for (int y = 0; y < pixels;) {
        const int left = pixels - y, first = y - 1;
        if (left > 2) {
            Sum points[kKinds];
            for (int kind = 0; kind < kKinds; ++kind) {
                Sum sum;
                for (int i = 0; i < 6; ++i) sum[first + i] = kInto[kind][i];
                points[kind] = builder.product(kind, sum);
            }
            for (int i = 0; i < 4 && i < left; ++i) {
                Sum output;
                for (int kind = 0; kind < kKinds; ++kind) add(output, points[kind], kOut[i][kind]);
                outputs.push_back(output);
            }
            y += 4;
        } else if (left == 2) {
            const Sum zero = builder.product(0, combination(first, {4, 0, -4}));
            const Sum one = builder.product(1, combination(first, {0, -3, -3}));
            const Sum minus = builder.product(2, combination(first, {0, 3, -3}));
            const Sum infinity = builder.product(5, combination(first, {0, -1, 0, 1}));
            Sum even = zero, odd = infinity;
            add(even, one, 1), add(even, minus, 1), add(odd, one, 1), add(odd, minus, -1);
            outputs.push_back(even), outputs.push_back(odd);
            y += 2;
        } else {
            Sum sum = builder.product(0, combination(first, {4, -4}));
            add(sum, builder.product(1, combination(first, {0, -6})), 1);
            add(sum, builder.product(5, combination(first, {0, -1, 1})), 1);
            outputs.push_back(sum);
            y += 1;
        }
    }
    return outputs;
}

// Enlarging is linear too, so it is done to products: with q_r[i] = w_r x[i] and e[i] = q_0[i] + q_2[i + 1],
//   y[2i]     = (3 e[i - 1] + e[i] + 3 q_1[i] + q_1[i - 1]) / 4,
//   y[2i + 1] = (3 e[i] + e[i - 1] + 3 q_1[i] + q_1[i + 1]) / 4.
// The e are the coefficients of (w2 + w0 t)(x[s] + x[s + 1] t + ...), block by block: 5 products for 4 pixels. Beyond the
// border x repeats and the enlarged map is zero, which the products of the two outermost pixels make up for.
template <class Builder>
std::vector<Sum> enlarging(Builder& builder, int n) {
    std::vector<Sum> e(static_cast<std::size_t>(n) + 1), q1;  // e[i] lies at i + 1
    Sum outer[2][2];                                        // q_0 and q_2 of the first and of the last pixel
    for (int i = 0; i < n; ++i) q1.push_back(builder.product(kW1, {{i, 1}}));
    for (int s = 0; s < n;) {
        const int left = n - 1 - s, m = s == 0 ? 1 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
        const auto at = static_cast<std::size_t>(s);
        const Sum first = builder.product(kW2, {{s, 1}}), last = builder.product(kW0, {{s + m - 1, 1}});
        add(e[at], first, 1), add(e[at + static_cast<std::size_t>(m)], last, 1);
        if (s == 0) outer[0][0] = last, outer[0][1] = first;
        if (s == n - 1) outer[1][0] = last, outer[1][1] = first;
        if (m > 1) {
            Sum one, minus, two;  // the values there without the first and the last coefficient
            for (int i = 0; i < m; ++i) one[s + i] = 1, minus[s + i] = i % 2 ? -1 : 1, two[s + i] = 1 << i;
            one = builder.product(kAtOne, one);
            add(one, first, -1), add(one, last, -1);
            if (m == 2) {
                add(e[at + 1], one, 1);
            } else {
                minus = builder.product(kAtMinusOne, minus), two = builder.product(kAtTwo, two);
                add(minus, first, -1), add(minus, last, -1), add(two, first, -1), add(two, last, -16);
                // minus = -c1 + c2 - c3, one = c1 + c2 + c3, two = 2 c1 + 4 c2 + 8 c3
                add(e[at + 1], one, 1), add(e[at + 1], minus, -1.0 / 3), add(e[at + 1], two, -1.0 / 6);
                add(e[at + 2], one, 0.5), add(e[at + 2], minus, 0.5);
                add(e[at + 3], one, -0.5), add(e[at + 3], minus, -1.0 / 6), add(e[at + 3], two, 1.0 / 6);
            }
        }
        s += m;
    }
    std::vector<Sum> outputs;
    for (int i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i);
        for (int odd = 0; odd < 2; ++odd) {
            Sum y, before = e[at], after = e[at + 1];
            if (i == 0) add(before, outer[0][0], odd ? 1 : -1.0 / 3);
            if (i == n - 1) add(after, outer[1][1], odd ? -1.0 / 3 : 1);
            add(y, before, odd ? 0.25 : 0.75), add(y, after, odd ? 0.75 : 0.25), add(y, q1[at], 0.75);
            const int next = odd ? i + 1 : i - 1;
            add(y, q1[static_cast<std::size_t>(next < 0 ? 0 : next < n ? next : n - 1)], 0.25);
            outputs.push_back(y);
        }
    }
    return outputs;
}

}  // namespace

Plan::Plan(std::size_t pixels, bool enlarged) : pixels_(pixels), taps_(&(enlarged ? kEnlarging : kTiled)[0][0]) {
    Builder builder(*this);
    builder.finish(enlarged ? enlarging(builder, static_cast<int>(pixels)) : tiled(builder, static_cast<int>(pixels)));
}

PlanTables Plan::tables() const {
    return {sums_.view(), outputs_.view(), sum_of_.data(), products_.data(), taps_, pixels_};
}

}  // namespace rsseg
