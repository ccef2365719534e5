#include "cliplens/model/nn/matmul.h"

#include <map>
#include <tuple>

#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>

#include "cliplens/base/error.h"

namespace cliplens::nn {
namespace {

// oneDNN's own threads are kept at one on every thread that calls it: the parallel loops of this
// project are over images and texts.
void OneThread() {
  thread_local const bool once = [] {
    omp_set_num_threads(1);
    return true;
  }();
  (void)once;
}

// Primitives, memory and streams must name the same engine object.
const dnnl::engine& Engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

[[noreturn]] void Fail(const char* what, const dnnl::error& e) {
  throw Error(e.status == dnnl_out_of_memory ? ErrorCode::kExhausted : ErrorCode::kInternal,
              "oneDNN refused {}: {}", what, e.what());
}

struct Primitive {
  dnnl::memory::desc x;
  dnnl::memory::desc weight;
  dnnl::memory::desc bias;
  dnnl::memory::desc y;
  dnnl::matmul matmul;
};

using Key = std::tuple<Index, Index, Index, Index, Index, int, bool, bool>;

// Primitives are compiled once a shape and kept for each thread: their scratch memory is then never
// shared.
const Primitive& PrimitiveFor(const LinearArgs& a) {
  thread_local std::map<Key, Primitive> cache;
  const Key key{a.rows,
                a.in,
                a.out,
                a.x_stride,
                a.y_stride,
                static_cast<int>(a.epilogue),
                a.bias != nullptr,
                a.accumulate};
  const auto found = cache.find(key);
  if (found != cache.end()) return found->second;
  using Desc = dnnl::memory::desc;
  constexpr auto kF32 = dnnl::memory::data_type::f32;
  Primitive p;
  p.x = Desc({a.rows, a.in}, kF32, {a.x_stride, 1});
  p.weight = Desc({a.in, a.out}, kF32, {1, a.in});
  p.y = Desc({a.rows, a.out}, kF32, {a.y_stride, 1});
  dnnl::post_ops ops;
  if (a.accumulate) ops.append_sum(1.0f);
  if (a.epilogue == Epilogue::kGelu) {
    ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_gelu_erf, 0.0f, 0.0f);
  } else if (a.epilogue == Epilogue::kQuickGelu) {
    ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_swish, 1.702f, 0.0f);
  }
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(ops);
  if (a.bias != nullptr) {
    p.bias = Desc({1, a.out}, kF32, {a.out, 1});
    p.matmul = dnnl::matmul({dnnl::matmul::desc(p.x, p.weight, p.bias, p.y), attributes, Engine()});
  } else {
    p.matmul = dnnl::matmul({dnnl::matmul::desc(p.x, p.weight, p.y), attributes, Engine()});
  }
  return cache.emplace(key, std::move(p)).first->second;
}

}  // namespace

void Linear(const LinearArgs& args) {
  if (args.rows == 0) return;
  OneThread();
  try {
    thread_local dnnl::stream stream(Engine());
    const Primitive& p = PrimitiveFor(args);
    const auto memory = [&](const dnnl::memory::desc& desc, const float* data) {
      return dnnl::memory(desc, Engine(), const_cast<float*>(data));
    };
    std::unordered_map<int, dnnl::memory> arguments = {
        {DNNL_ARG_SRC, memory(p.x, args.x)},
        {DNNL_ARG_WEIGHTS, memory(p.weight, args.weight)},
        {DNNL_ARG_DST, memory(p.y, args.y)},
    };
    if (args.bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, memory(p.bias, args.bias));
    p.matmul.execute(stream, arguments);
    stream.wait();
  } catch (const dnnl::error& e) {
    Fail("a linear layer", e);
  }
}

void Gemm(const GemmArgs& a) {
  if (a.m == 0 || a.n == 0) return;
  OneThread();
  const dnnl_status_t status =
      dnnl_sgemm('N', a.transpose_b ? 'T' : 'N', a.m, a.n, a.k, a.alpha, a.a, a.a_stride, a.b,
                 a.b_stride, a.beta, a.c, a.c_stride);
  if (status != dnnl_success) {
    throw Error(status == dnnl_out_of_memory ? ErrorCode::kExhausted : ErrorCode::kInternal,
                "oneDNN refused a product of {} x {} by {} x {} (status {})", a.m, a.k, a.k, a.n,
                static_cast<int>(status));
  }
}

}  // namespace cliplens::nn
