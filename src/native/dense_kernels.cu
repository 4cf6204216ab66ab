// A training step of a small stack of Dense layers as two kernels, which NVRTC compiles at run time.
//
// `rows`: one block for each ROWS samples takes them through the network and back, from their pixels to
// the gradient of the loss at each layer's outputs before the activation. The weights come from the L2
// cache, which holds them all; all data of the samples stays in shared memory.
// `apply_gradients`: one thread for each UNITS weights of an input sums their gradient over the batch and
// takes the optimizer step.
//
// Sums are in a fixed order: the same input gives the same result. ROWS and LAYERS, the largest number of
// layers, are compiler options. dense_kernels.rs has the same structs, field by field.

constexpr int WARP = 32;
constexpr unsigned ALL = 0xffffffff;
constexpr int UNITS = 4;

enum Activation { LINEAR, RELU, GELU, SILU, TANH, SIGMOID };
enum Optimizer { ADAM, ADAMW, SGD, NESTEROV, RMSPROP };

// Pointers of shape [units, inputs] and [units] are the parameters', [batch, …] the samples'.
struct Parameters {
  float *value, *first, *second, *average;
};

struct Layer {
  Parameters weight, bias;
  float *input;      // [batch, inputs]: the layer's input
  float *gradient;   // [batch, units]: of the loss, before the activation
  const float *mask; // [batch, inputs] of the Dropout before the layer, or null
  float kept;        // 1 / (1 - rate) of that Dropout
  int inputs, units, activation;
};

struct Step {
  Layer layers[LAYERS];
  const float *images;          // [batch, inputs]
  const long long *labels;      // [batch]
  float *logits;                // [batch, classes]
  float *losses;                // [batch]
  const float *rates;           // see Rates
  float beta1, beta2;           // of Adam; momentum and rho of the others
  float epsilon, weight_decay, smoothing, follow; // follow: 1 - the decay of the weights' average
  int count, batch, optimizer;
};

__device__ float sum_of_warp(float x) {
  for (int away = WARP / 2; away > 0; away /= 2) {
    x += __shfl_xor_sync(ALL, x, away);
  }
  return x;
}

__device__ float max_of_warp(float x) {
  for (int away = WARP / 2; away > 0; away /= 2) {
    x = fmaxf(x, __shfl_xor_sync(ALL, x, away));
  }
  return x;
}

// Returns the activation of z, and its derivative in `slope`.
__device__ float activate(int activation, float z, float &slope) {
  switch (activation) {
  case RELU:
    slope = z > 0 ? 1.0f : 0.0f;
    // NaN stays NaN.
    return z <= 0 ? 0.0f : z;
  case GELU: {
    const float normal = 0.5f * (1.0f + erff(z * 0.70710678f));
    slope = normal + z * 0.39894228f * expf(-0.5f * z * z);
    return z * normal;
  }
  case SILU: {
    const float sigmoid = 1.0f / (1.0f + expf(-z));
    slope = sigmoid * (1.0f + z * (1.0f - sigmoid));
    return z * sigmoid;
  }
  case TANH: {
    const float y = tanhf(z);
    slope = 1.0f - y * y;
    return y;
  }
  case SIGMOID: {
    const float y = 1.0f / (1.0f + expf(-z));
    slope = y * (1.0f - y);
    return y;
  }
  default:
    slope = 1.0f;
    return z;
  }
}

// Returns Σ over a layer's inputs of the weights of COUNT units from `unit` on times each row's input.
// Lane r * COUNT + u gets that of row r and unit `unit` + u; a unit beyond the last one repeats the last.
template <int COUNT>
__device__ float products(const Layer &layer, int unit, const float *input, int lane) {
  float sums[COUNT][ROWS] = {};
  const float *weight[COUNT];
  for (int u = 0; u < COUNT; u++) {
    weight[u] = layer.weight.value + min(unit + u, layer.units - 1) * layer.inputs;
  }
  if (layer.inputs % 4 == 0) {
#pragma unroll 2
    for (int i = lane; i < layer.inputs / 4; i += WARP) {
      float4 w[COUNT];
      for (int u = 0; u < COUNT; u++) {
        w[u] = reinterpret_cast<const float4 *>(weight[u])[i];
      }
      for (int r = 0; r < ROWS; r++) {
        const float4 x = reinterpret_cast<const float4 *>(input + r * layer.inputs)[i];
        for (int u = 0; u < COUNT; u++) {
          sums[u][r] += w[u].x * x.x + w[u].y * x.y + w[u].z * x.z + w[u].w * x.w;
        }
      }
    }
  } else {
    for (int i = lane; i < layer.inputs; i += WARP) {
      for (int r = 0; r < ROWS; r++) {
        for (int u = 0; u < COUNT; u++) {
          sums[u][r] += weight[u][i] * input[r * layer.inputs + i];
        }
      }
    }
  }
  float own = 0;
  for (int r = 0; r < ROWS; r++) {
    for (int u = 0; u < COUNT; u++) {
      const float sum = sum_of_warp(sums[u][r]);
      own = lane == r * COUNT + u ? sum : own;
    }
  }
  return own;
}

extern "C" __global__ void __launch_bounds__(1024) rows(const __grid_constant__ Step step) {
  // For each layer its input [ROWS, inputs]; then for each the slopes of its outputs [ROWS, units], which
  // become gradients; then the partial sums that warps share.
  extern __shared__ __align__(16) float shared[];
  const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
  const int first = blockIdx.x * ROWS;
  float *input[LAYERS], *slope[LAYERS], *parts = shared;
  for (int l = 0; l < step.count; l++) {
    input[l] = parts;
    parts += (ROWS * step.layers[l].inputs + 3) / 4 * 4;
  }
  for (int l = 0; l < step.count; l++) {
    slope[l] = parts;
    parts += (ROWS * step.layers[l].units + 3) / 4 * 4;
  }

  const Layer &bottom = step.layers[0];
  for (int i = threadIdx.x; i < ROWS * bottom.inputs; i += blockDim.x) {
    const int row = first + i / bottom.inputs, place = first * bottom.inputs + i;
    float x = row < step.batch ? step.images[place] : 0.0f;
    if (bottom.mask != nullptr && row < step.batch) {
      x *= bottom.mask[place] * bottom.kept;
      bottom.input[place] = x;
    }
    input[0][i] = x;
  }
  __syncthreads();

  for (int l = 0; l < step.count; l++) {
    const Layer &layer = step.layers[l];
    const bool last = l + 1 == step.count;
    // The number of units per warp, chosen so that all warps have some.
    const int count = layer.units > 2 * warps ? 4 : layer.units > warps ? 2 : 1;
    for (int unit = warp * count; unit < layer.units; unit += warps * count) {
      const float sum = count == 4   ? products<4>(layer, unit, input[l], lane)
                        : count == 2 ? products<2>(layer, unit, input[l], lane)
                                     : products<1>(layer, unit, input[l], lane);
      const int r = lane / count, row = first + r, own = unit + lane % count;
      if (r < ROWS && row < step.batch && own < layer.units) {
        const float z = sum + layer.bias.value[own];
        const int here = r * layer.units + own, place = row * layer.units + own;
        if (last) {
          slope[l][here] = z;
          step.logits[place] = z;
        } else {
          const Layer &next = step.layers[l + 1];
          float derivative, y = activate(layer.activation, z, derivative);
          if (next.mask != nullptr) {
            const float factor = next.mask[place] * next.kept;
            y *= factor;
            derivative *= factor;
          }
          input[l + 1][here] = y;
          next.input[place] = y;
          slope[l][here] = derivative;
        }
      }
    }
    __syncthreads();
  }

  // The loss, and its gradient with respect to the logits: one warp for each row.
  const Layer &top = step.layers[step.count - 1];
  float *logits = slope[step.count - 1];
  if (warp < ROWS && first + warp < step.batch) {
    const int row = first + warp, classes = top.units, label = step.labels[row];
    float *z = logits + warp * classes;
    float most = z[0], all = 0, sum = 0;
    for (int c = lane; c < classes; c += WARP) {
      most = fmaxf(most, z[c]);
      all += z[c];
    }
    most = max_of_warp(most);
    all = sum_of_warp(all);
    for (int c = lane; c < classes; c += WARP) {
      sum += expf(z[c] - most);
    }
    sum = sum_of_warp(sum);
    // Relative to the largest logit: the difference of two large numbers would be rounded.
    const float spread = logf(sum), even = step.smoothing / classes;
    if (lane == 0) {
      step.losses[row] = spread + most - (1 - step.smoothing) * z[label] - even * all;
    }
    __syncwarp();
    for (int c = lane; c < classes; c += WARP) {
      const float target = even + (c == label ? 1 - step.smoothing : 0.0f);
      const float g = (expf(z[c] - most) / sum - target) / step.batch;
      z[c] = g;
      top.gradient[row * classes + c] = g;
    }
  }
  __syncthreads();

  for (int l = step.count - 1; l > 0; l--) {
    // The gradient with respect to the layer's input, in tiles with one input per lane of a warp. Several
    // warps share a tile, each with its slice of the units.
    const Layer &layer = step.layers[l];
    const int tiles = (layer.inputs + WARP - 1) / WARP, slices = max(1, warps / tiles);
    for (int work = warp; work < tiles * slices; work += warps) {
      const int i = work % tiles * WARP + lane, slice = work / tiles;
      float sums[ROWS] = {};
      if (i < layer.inputs) {
#pragma unroll 8
        for (int unit = slice; unit < layer.units; unit += slices) {
          const float w = layer.weight.value[unit * layer.inputs + i];
          for (int r = 0; r < ROWS; r++) {
            sums[r] += w * slope[l][r * layer.units + unit];
          }
        }
        for (int r = 0; r < ROWS; r++) {
          parts[(slice * ROWS + r) * layer.inputs + i] = sums[r];
        }
      }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < ROWS * layer.inputs; i += blockDim.x) {
      float sum = 0;
      for (int slice = 0; slice < slices; slice++) {
        sum += parts[slice * ROWS * layer.inputs + i];
      }
      const float g = sum * slope[l - 1][i];
      slope[l - 1][i] = g;
      if (first + i / layer.inputs < step.batch) {
        step.layers[l - 1].gradient[first * layer.inputs + i] = g;
      }
    }
    __syncthreads();
  }
}

// The learning rate, and for Adam's step t that divided by 1 - beta1^t, and the square root of 1 -
// beta2^t.
struct Rates {
  float rate, adam, root;
};

// A weight and its optimizer state and moving average.
struct Weight {
  float value, first, second, average;
};

__device__ Weight load(const Parameters &p, int at) {
  return {p.value[at], p.first == nullptr ? 0 : p.first[at], p.second == nullptr ? 0 : p.second[at],
          p.average == nullptr ? 0 : p.average[at]};
}

__device__ void store(const Parameters &p, int at, const Weight &weight) {
  p.value[at] = weight.value;
  if (p.first != nullptr) {
    p.first[at] = weight.first;
  }
  if (p.second != nullptr) {
    p.second[at] = weight.second;
  }
  if (p.average != nullptr) {
    p.average[at] = weight.average;
  }
}

// Updates a weight with the gradient g.
__device__ void update(const Step &step, const Rates &rates, Weight &weight, float g) {
  const float beta1 = step.beta1, beta2 = step.beta2;
  switch (step.optimizer) {
  case ADAMW:
    weight.value -= rates.rate * step.weight_decay * weight.value;
  case ADAM:
    weight.first = beta1 * weight.first + (1 - beta1) * g;
    weight.second = beta2 * weight.second + (1 - beta2) * g * g;
    weight.value -= rates.adam * weight.first / (sqrtf(weight.second) / rates.root + step.epsilon);
    break;
  case RMSPROP:
    weight.first = beta2 * weight.first + (1 - beta2) * g * g;
    g /= sqrtf(weight.first) + step.epsilon;
    weight.second = beta1 * weight.second + g;
    weight.value -= rates.rate * weight.second;
    break;
  default:
    weight.first = beta1 * weight.first + g;
    weight.value -= rates.rate * (step.optimizer == NESTEROV ? g + beta1 * weight.first : weight.first);
  }
  weight.average += step.follow * (weight.value - weight.average);
}

extern "C" __global__ void __launch_bounds__(256) apply_gradients(const __grid_constant__ Step step) {
  const Rates rates = {step.rates[0], step.rates[1], step.rates[2]};
  int own = blockIdx.x * blockDim.x + threadIdx.x, l = 0;
  const auto size = [&](const Layer &layer) {
    // The biases are weights of an input that is always 1.
    return (layer.units + UNITS - 1) / UNITS * (layer.inputs + 1);
  };
  while (l < step.count && own >= size(step.layers[l])) {
    own -= size(step.layers[l]);
    l++;
  }
  if (l == step.count) {
    return;
  }
  const Layer &layer = step.layers[l];
  const int i = own % (layer.inputs + 1), unit = own / (layer.inputs + 1) * UNITS;
  const bool bias = i == layer.inputs;
  const float *input = l == 0 && layer.mask == nullptr ? step.images : layer.input;
  const Parameters &parameters = bias ? layer.bias : layer.weight;
  const int width = bias ? 1 : layer.inputs, at = unit * width + (bias ? 0 : i);
  // All loads come at once, before the sums: loads one by one are waited for one by one.
  Weight weights[UNITS];
  for (int u = 0; u < UNITS; u++) {
    weights[u] = load(parameters, at + (unit + u < layer.units ? u * width : 0));
  }
  float sums[UNITS] = {};
  if (layer.units % UNITS == 0) {
#pragma unroll 8
    for (int b = 0; b < step.batch; b++) {
      const float x = bias ? 1.0f : input[b * layer.inputs + i];
      const float4 g = *reinterpret_cast<const float4 *>(layer.gradient + b * layer.units + unit);
      sums[0] += g.x * x;
      sums[1] += g.y * x;
      sums[2] += g.z * x;
      sums[3] += g.w * x;
    }
  } else {
    // A unit beyond the last one repeats the last: a load that depends on a condition is waited for.
#pragma unroll 8
    for (int b = 0; b < step.batch; b++) {
      const float x = bias ? 1.0f : input[b * layer.inputs + i];
      for (int u = 0; u < UNITS; u++) {
        sums[u] += layer.gradient[b * layer.units + min(unit + u, layer.units - 1)] * x;
      }
    }
  }
  for (int u = 0; u < UNITS; u++) {
    update(step, rates, weights[u], sums[u]);
  }
  for (int u = 0; u < UNITS && unit + u < layer.units; u++) {
    store(parameters, at + u * width, weights[u]);
  }
}
