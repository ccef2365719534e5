#include "cliplens/model/nn/matmul.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <string_view>
#include <tuple>
#include <vector>

#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>
#include <sys/mman.h>

#include "cliplens/base/buffer.h"
#include "cliplens/base/error.h"

namespace cliplens::nn {
namespace {

using Desc = dnnl::memory::desc;
using DnnlType = dnnl::memory::data_type;

// Columns of a product that one task computes where a product's rows cannot be shared out (see
// TryRows); wider layers are cut into about equal parts, multiples of a register block of 64.
constexpr Index kTileColumns = 384;
constexpr Index kColumnBlock = 64;
// Rows that a task of a team has at least.
constexpr Index kTaskRows = 16;
// Rows of the product that the order of packed weights is chosen for.
constexpr Index kTypicalRows = 256;

// oneDNN's own threads are kept at one on every thread that calls it: the parallel loops of this
// project are its own.
void OneThread() {
  thread_local const bool once = [] {
    omp_set_num_threads(1);
    return true;
  }();
  (void)once;
}

// oneDNN's code generator ends the process where it gets no memory, so the room that it needs is
// asked for first. Throws Error(kExhausted) where it is not there.
void CheckRoomForCode() {
  constexpr std::size_t kRoom = std::size_t{16} << 20;
  void* const room = ::mmap(nullptr, kRoom, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) {
    throw Error(ErrorCode::kExhausted,
                "out of memory: less than {} MB of address space are left, which matrix products "
                "need; raise its limit (ulimit -v; docs/security.md says how much) or use fewer "
                "--threads",
                kRoom >> 20);
  }
  ::munmap(room, kRoom);
}

// Primitives, memory and streams must name the same engine object.
const dnnl::engine& Engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& Stream() {
  thread_local dnnl::stream stream(Engine());
  return stream;
}

[[noreturn]] void Fail(const char* what, const dnnl::error& e) {
  throw Error(e.status == dnnl_out_of_memory ? ErrorCode::kExhausted : ErrorCode::kInternal,
              "oneDNN refused {}: {}", what, e.what());
}

DnnlType TypeOf(Precision p) { return p == Precision::kBF16 ? DnnlType::bf16 : DnnlType::f32; }
DnnlType TypeOf(const float*) { return DnnlType::f32; }
DnnlType TypeOf(const BFloat16*) { return DnnlType::bf16; }

struct Layer {
  Index rows, in, out, x_stride, y_stride;
  DnnlType x_type, y_type;
  Epilogue epilogue;
  bool accumulate;
  auto operator<=>(const Layer&) const = default;
};

dnnl::matmul::primitive_desc Describe(const Layer& a, const Desc& weight) {
  const Desc x({a.rows, a.in}, a.x_type, {a.x_stride, 1});
  const Desc y({a.rows, a.out}, a.y_type, {a.y_stride, 1});
  dnnl::post_ops ops;
  if (a.accumulate) ops.append_sum(1.0f);
  if (a.epilogue == Epilogue::kGelu) {
    ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_gelu_erf, 0.0f, 0.0f);
  } else if (a.epilogue == Epilogue::kQuickGelu) {
    ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_swish, 1.702f, 0.0f);
  } else if (a.epilogue == Epilogue::kGeluTanh) {
    ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_gelu_tanh, 0.0f, 0.0f);
  }
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(ops);
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const Desc bias({1, a.out}, DnnlType::f32, {a.out, 1});
  return {dnnl::matmul::desc(x, weight, bias, y), attributes, Engine()};
}

// A product that is ready to run on one thread.
struct Primitive {
  dnnl::matmul matmul;
  dnnl::memory x, bias, y, scratch;
  Index scratch_bytes = 0;
};

}  // namespace

struct Weights::Impl {
  struct Tile {
    Index begin = 0;  // first column of the result
    Index count = 0;
    Buffer<std::uint8_t> bytes;
    dnnl::memory memory;
  };
  Index in = 0;
  Index out = 0;
  Precision precision = Precision::kF32;
  std::vector<Tile> tiles;
  std::vector<float> bias;
  bool independent = false;
};

namespace {

// Primitives are compiled once a shape and kept for each thread: their memory objects and scratch
// are then never shared.
Primitive& PrimitiveFor(const Layer& layer, const Desc& weight) {
  thread_local std::map<Layer, Primitive> cache;
  const auto found = cache.find(layer);
  if (found != cache.end()) return found->second;
  CheckRoomForCode();
  const dnnl::matmul::primitive_desc description = Describe(layer, weight);
  Primitive p;
  p.matmul = dnnl::matmul(description);
  p.x = dnnl::memory(description.src_desc(), Engine(), nullptr);
  p.y = dnnl::memory(description.dst_desc(), Engine(), nullptr);
  p.bias = dnnl::memory(description.bias_desc(), Engine(), nullptr);
  const Desc scratch = description.scratchpad_desc();
  p.scratch_bytes = static_cast<Index>(scratch.get_size());
  p.scratch = dnnl::memory(scratch, Engine(), nullptr);
  return cache.emplace(layer, std::move(p)).first->second;
}

template <typename X, typename Y>
void RunTile(const Weights::Impl& w, std::size_t t, const LinearArgs<X, Y>& a, Index first,
             Index rows) {
  OneThread();
  const Weights::Impl::Tile& tile = w.tiles[t];
  Primitive& p = PrimitiveFor(
      {rows, w.in, tile.count, a.x_stride, a.y_stride, TypeOf(static_cast<const X*>(nullptr)),
       TypeOf(static_cast<const Y*>(nullptr)), a.epilogue, a.accumulate},
      tile.memory.get_desc());
  thread_local Buffer<std::uint8_t> scratch;
  // The C interface: the C++ one builds a hash map a call, which shows on small models.
  const auto set = [](const dnnl::memory& memory, const void* data) {
    dnnl_memory_set_data_handle(memory.get(), const_cast<void*>(data));
  };
  set(p.x, a.x + first * a.x_stride);
  set(p.y, a.y + first * a.y_stride + tile.begin);
  set(p.scratch, scratch.Grow(p.scratch_bytes));
  set(p.bias, w.bias.data() + tile.begin);
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, p.x.get()},
                                       {DNNL_ARG_WEIGHTS, tile.memory.get()},
                                       {DNNL_ARG_BIAS, p.bias.get()},
                                       {DNNL_ARG_DST, p.y.get()},
                                       {DNNL_ARG_SCRATCHPAD, p.scratch.get()}};
  const dnnl_status_t status = dnnl_primitive_execute(
      p.matmul.get(), Stream().get(), static_cast<int>(std::size(arguments)), arguments);
  if (status != dnnl_success) throw dnnl::error(status, "the product failed");
}

template <typename X, typename Y>
void LinearOf(const Weights::Impl& w, const LinearArgs<X, Y>& a, Team& team) {
  if (a.rows == 0) return;
  try {
    const auto tiles = static_cast<Index>(w.tiles.size());
    Index chunks = 1;
    if (w.independent && team.threads() > 1) {
      chunks = std::clamp<Index>((team.threads() + tiles - 1) / tiles, 1,
                                 std::max<Index>(1, a.rows / kTaskRows));
    }
    const Index chunk = (a.rows + chunks - 1) / chunks;
    team.Run(tiles * chunks, [&](Index task) {
      const Index first = task / tiles * chunk;
      if (first >= a.rows) return;
      RunTile(w, ToSize(task % tiles), a, first, std::min(chunk, a.rows - first));
    });
  } catch (const dnnl::error& e) {
    Fail("a linear layer", e);
  }
}

// Whether results are the same in any place among any number of rows, tried on random rows.
template <typename X>
bool TryRows(const Weights::Impl& w) {
  constexpr Index kRows = 67;
  std::vector<X> x(ToSize(kRows * w.in));
  std::uint64_t state = 1;
  for (X& v : x) {
    state = state * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
    const float value = static_cast<float>(state >> 40) / static_cast<float>(1 << 24) - 0.5f;
    if constexpr (std::is_same_v<X, float>) {
      v = value;
    } else {
      v = ToBFloat16(value);
    }
  }
  const Index out = w.tiles.front().count;
  const auto run = [&](Index first, Index rows) {
    std::vector<float> y(ToSize(rows * out));
    RunTile<X, float>(w, 0,
                      {.rows = rows,
                       .x = x.data() + first * w.in,
                       .x_stride = w.in,
                       .y = y.data(),
                       .y_stride = out},
                      0, rows);
    return y;
  };
  const std::vector<float> all = run(0, kRows);
  for (const auto& [first, rows] :
       {std::pair<Index, Index>{0, 1}, {5, 1}, {66, 1}, {3, 7}, {1, 16}, {16, 50}, {2, 33}}) {
    const std::vector<float> part = run(first, rows);
    if (std::memcmp(part.data(), all.data() + first * out, part.size() * sizeof(float)) != 0) {
      return false;
    }
  }
  return true;
}

// Whether `weight`, in oneDNN's own order, is read by its block kernels for any number of rows.
// They keep rows apart and are the fastest, but write only whole rows: their results are not cut
// into columns.
bool BlockKernels(Index in, Index out, Precision precision, const Desc& weight) {
  for (Index rows : {1, 8, 50, 200, 264}) {
    const auto product = Describe(
        {rows, in, out, in, out, TypeOf(precision), DnnlType::f32, Epilogue::kNone, false}, weight);
    if (!std::string_view(product.impl_info_str()).starts_with("brg")) return false;
  }
  return true;
}

bool RowsAreIndependent(const Weights::Impl& w) {
  static std::mutex mutex;
  static std::map<std::tuple<Index, Index, Precision>, bool> known;
  const std::tuple key{w.in, w.tiles.front().count, w.precision};
  const std::lock_guard lock(mutex);
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  const bool result = w.precision == Precision::kBF16 ? TryRows<BFloat16>(w) : TryRows<float>(w);
  return known.emplace(key, result).first->second;
}

}  // namespace

BFloat16 ToBFloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return {static_cast<std::uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)};
}

float ToFloat(BFloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

bool HasBFloat16() {
  const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
  return isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx;
}

Weights::Weights(const float* weight, const float* bias, Index out, Index in, Precision precision)
    : impl_(std::make_unique<Impl>()) {
  impl_->in = in;
  impl_->out = out;
  impl_->precision = precision;
  // A bias of zeros where there is none: without bias oneDNN takes another, slower way.
  impl_->bias.assign(ToSize(out), 0.0f);
  if (bias != nullptr) std::copy_n(bias, out, impl_->bias.data());
  OneThread();
  CheckRoomForCode();
  try {
    const DnnlType type = TypeOf(precision);
    Desc whole =
        Describe({kTypicalRows, in, out, in, out, type, DnnlType::f32, Epilogue::kNone, false},
                 {{in, out}, type, dnnl::memory::format_tag::any})
            .weights_desc();
    const bool blocks = BlockKernels(in, out, precision, whole);
    const Index tiles = blocks ? 1 : (out + kTileColumns - 1) / kTileColumns;
    const Index columns =
        ((out + tiles - 1) / tiles + kColumnBlock - 1) / kColumnBlock * kColumnBlock;
    for (Index begin = 0; begin < out; begin += columns) {
      Impl::Tile tile;
      tile.begin = begin;
      tile.count = std::min(columns, out - begin);
      const Desc order = blocks ? whole : Desc({in, tile.count}, type, {1, in});
      tile.memory =
          dnnl::memory(order, Engine(), tile.bytes.Grow(static_cast<Index>(order.get_size())));
      dnnl::memory plain({{in, tile.count}, DnnlType::f32, {1, in}}, Engine(),
                         const_cast<float*>(weight + begin * in));
      dnnl::reorder(plain, tile.memory).execute(Stream(), plain, tile.memory);
      Stream().wait();
      impl_->tiles.push_back(std::move(tile));
    }
    impl_->independent = RowsAreIndependent(*impl_);
  } catch (const dnnl::error& e) {
    Fail("the weights of a linear layer", e);
  }
}

Weights::Weights() = default;
Weights::~Weights() = default;
Weights::Weights(Weights&&) noexcept = default;
Weights& Weights::operator=(Weights&&) noexcept = default;
Index Weights::in() const { return impl_->in; }
Index Weights::out() const { return impl_->out; }
bool Weights::rows_are_independent() const { return impl_->independent; }

Array<float, 2> Weights::Unpack() const {
  Array<float, 2> weight({out(), in()});
  OneThread();
  try {
    for (const Impl::Tile& tile : impl_->tiles) {
      dnnl::memory plain({{in(), tile.count}, DnnlType::f32, {1, in()}}, Engine(),
                         weight.row(tile.begin).data());
      dnnl::memory packed = tile.memory;
      dnnl::reorder(packed, plain).execute(Stream(), packed, plain);
      Stream().wait();
    }
  } catch (const dnnl::error& e) {
    Fail("the weights of a linear layer", e);
  }
  return weight;
}

void Linear(const Weights& w, const LinearArgs<float, float>& a, Team& team) {
  LinearOf(w.impl(), a, team);
}
void Linear(const Weights& w, const LinearArgs<BFloat16, float>& a, Team& team) {
  LinearOf(w.impl(), a, team);
}
void Linear(const Weights& w, const LinearArgs<BFloat16, BFloat16>& a, Team& team) {
  LinearOf(w.impl(), a, team);
}

void Gemm(const GemmArgs& a) {
  if (a.m == 0 || a.n == 0) return;
  OneThread();
  // Code is made at the first product of a kind.
  static std::atomic<unsigned> made{0};
  const unsigned kind = 1U << ((a.transpose_b ? 1U : 0U) + (a.beta != 0 ? 2U : 0U));
  if ((made.load(std::memory_order_relaxed) & kind) == 0) CheckRoomForCode();
  const dnnl_status_t status =
      dnnl_sgemm('N', a.transpose_b ? 'T' : 'N', a.m, a.n, a.k, a.alpha, a.a, a.a_stride, a.b,
                 a.b_stride, a.beta, a.c, a.c_stride);
  made.fetch_or(kind, std::memory_order_relaxed);
  if (status != dnnl_success) {
    throw Error(status == dnnl_out_of_memory ? ErrorCode::kExhausted : ErrorCode::kInternal,
                "oneDNN refused a product of {} x {} by {} x {} (status {})", a.m, a.k, a.k, a.n,
                static_cast<int>(status));
  }
}

void Gemm(ArrayView<const float, 2> a, ArrayView<const float, 2> b, float* c) {
  Gemm({.m = a.dim(0),
        .n = b.dim(1),
        .k = a.dim(1),
        .a = a.data(),
        .a_stride = a.dim(1),
        .b = b.data(),
        .b_stride = b.dim(1),
        .c = c,
        .c_stride = b.dim(1)});
}

}  // namespace cliplens::nn
