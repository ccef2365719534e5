// A worker that times this library for bench/*.py: commands come as JSON lines on standard input,
// each is answered by one JSON line on standard output. It lives through a whole run, so that the
// driver can let it take turns with other systems.
//
//   {"op": "info"}                              → {"precisions": ["fp32"], "threads": 2}
//   {"op": "prepare", "model": DIR, "precision": "fp32", "task": "image", "threads": 2,
//    "pixels": FILE.npy, "batch": 16}           → {"rows": 16}   pixels [≥16, 3, S, S]
//   {"op": "prepare", ..., "task": "text", "texts": ["a photo of a cat."]}
//   {"op": "time", "passes": 3}                 → {"seconds": 0.7}   of all passes of what was
//                                                                    prepared
//   {"op": "write", "out": PREFIX}              → {"files": {"rows": "PREFIX.rows.npy"}}
//   {"op": "matmul", "precision": "fp32", "threads": 2, "rows": [197], "layers": [[768, 2304]]}
//                                               → {"flops_per_second": 1.6e11}
//
// Tasks: "image" and "text", embeddings as `embed` computes them; "decompose", the same pass with
// the factors of every head as `decompose` stores them; "maps", the pass and how all heads and
// tokens make up the score of a text, as `heatmap` computes it; "contributions", the factors
// written out for each head and token in full, [B, L, H, N, E], which is what the code of arXiv
// 2310.05916 forms. A command that fails is answered by {"error": "..."}.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cliplens/analysis/token_scores.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/decompose.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/io/json.h"
#include "cliplens/io/npy.h"
#include "cliplens/model/clip.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens {
namespace {

// --- What is timed: all of this program's use of the library. ------------------------------------

std::vector<std::string> Precisions() {
  if (nn::HasBFloat16()) return {"fp32", "bf16"};
  return {"fp32"};
}

Precision ParsePrecision(const std::string& name) {
  const std::vector<std::string> known = Precisions();
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    throw Error(ErrorCode::kUnsupported, "no precision '{}' here", name);
  }
  return name == "bf16" ? Precision::kBF16 : Precision::kF32;
}

ClipModel LoadModel(const std::string& directory, const std::string& precision) {
  return ClipModel::Load(directory, ParsePrecision(precision));
}

using Pixels = std::vector<Array<float, 3>>;  // [B] of [3, S, S]

std::span<const Array<float, 3>> Part(const Pixels& pixels, Index begin, Index end) {
  return std::span(pixels).subspan(ToSize(begin), ToSize(end - begin));
}

void EmbedImages(const ClipModel& model, const Pixels& pixels, Passes& passes,
                 Array<float, 2>& rows) {
  passes.ForImages(rows.dim(0), [&](Index begin, Index end, Workspace& workspace) {
    model.EmbedImages(Part(pixels, begin, end), rows.rows(begin, end), workspace);
  });
}

void EmbedTexts(const ClipModel& model, const std::vector<std::string>& texts, int threads,
                Array<float, 2>& rows) {
  rows = model.EmbedTexts(texts, /*truncate=*/false, threads);
}

// Scores of one direction, split over heads and tokens.
void MapImages(const ClipModel& model, const TokenWeights& weights, const Pixels& pixels,
               Passes& passes, Array<float, 2>& rows) {
  passes.ForImages(rows.dim(0), [&](Index begin, Index end, Workspace& workspace) {
    std::vector<Captures> captures(ToSize(end - begin));
    model.EmbedImages(Part(pixels, begin, end), rows.rows(begin, end), workspace, TokenCaptures(),
                      captures);
    for (const Captures& c : captures) {
      ScoreTokens(weights, c, {.detail = TokenDetail::kHeads}, /*threads=*/1);
    }
  });
}

// What pictures are decomposed into.
struct Decomposed {
  Array<float, 2>& rows;  // [B, E]: embeddings
  FactorBlock& block;
};

void DecomposeImages(const ClipModel& model, const Decomposer& decomposer, const Pixels& pixels,
                     Passes& passes, const Decomposed& to) {
  passes.ForImages(to.rows.dim(0), [&](Index begin, Index end, Workspace& workspace) {
    std::vector<Captures> captures(ToSize(end - begin));
    model.EmbedImages(Part(pixels, begin, end), to.rows.rows(begin, end), workspace,
                      FactorCaptures(), captures);
    Decomposer::Scratch scratch;
    for (Index b = begin; b < end; ++b) {
      decomposer.Fill(At(captures, b - begin), to.rows.row(b), scratch, to.block, b);
    }
  });
}

// As DecomposeImages, and every head's contribution of every token, out [B, L, H, N, E]:
// u_i^T B with u_i = [α_i v_i, 1/N, μ/N, σ/N] / (σ n) (docs/design.md, "Factored form").
void WriteOutContributions(const ClipModel& model, const Decomposer& decomposer,
                           const Pixels& pixels, Passes& passes, const Decomposed& to,
                           Array<float, 5>& out) {
  const Basis& basis = decomposer.basis();
  const Index tokens = model.config().tokens();
  const Index width = basis.head_width();
  const Index factor = basis.factor_width();
  const auto write = [&](Index b, Workspace& workspace) {
    Captures captures;
    const Captures& a = captures;
    model.EmbedImages(Part(pixels, b, b + 1), to.rows.rows(b, b + 1), workspace, TokenCaptures(),
                      {&captures, 1});
    Decomposer::Scratch scratch;
    decomposer.Fill(a, to.rows.row(b), scratch, to.block, b);
    const auto scale = static_cast<float>(1 / (a.scale.sigma * a.scale.norm));
    const float share = scale / static_cast<float>(tokens);
    std::vector<float> u(ToSize(tokens * factor));
    for (Index l = 0; l < basis.layers(); ++l) {
      for (Index h = 0; h < basis.num_heads(); ++h) {
        for (Index i = 0; i < tokens; ++i) {
          float* row = u.data() + i * factor;
          const float alpha = a.pattern[l](h, i) * scale;
          const float* value = &a.value[l](i, h * width);
          for (Index k = 0; k < width; ++k) row[k] = alpha * value[k];
          row[width] = share;
          row[width + 1] = share * static_cast<float>(a.scale.mean);
          row[width + 2] = share * static_cast<float>(a.scale.sigma);
        }
        nn::Gemm({.m = tokens,
                  .n = basis.embed_width(),
                  .k = factor,
                  .a = u.data(),
                  .a_stride = factor,
                  .b = basis.heads[l][h].data(),
                  .b_stride = basis.embed_width(),
                  .c = out[b][l][h].data(),
                  .c_stride = basis.embed_width()});
      }
    }
  };
  passes.ForImages(to.rows.dim(0), [&](Index begin, Index end, Workspace& workspace) {
    for (Index b = begin; b < end; ++b) write(b, workspace);
  });
}

// The machine's own rate [flop/s] of x [rows, in] · weight^T [in, out] on all threads together,
// each with its own matrices. Every call is long enough to forget the start of the threads.
template <typename X>
double MatmulRateOf(Index rows, Index in, Index out, int threads, Precision precision) {
  const std::vector<float> weight(ToSize(out * in), 0.25f);
  const std::vector<float> bias(ToSize(out), 1.0f);
  struct Operands {
    nn::Weights weights;
    std::vector<X> x;
    std::vector<float> y;
  };
  std::vector<Operands> operands;
  for (int t = 0; t < threads; ++t) {
    operands.push_back({nn::Weights(weight.data(), bias.data(), out, in, precision),
                        std::vector<X>(ToSize(rows * in)), std::vector<float>(ToSize(rows * out))});
  }
  const double flops = 2.0 * static_cast<double>(rows) * static_cast<double>(in * out);
  constexpr double kFlopsPerThread = 1e10;
  const Index repeats = std::max<Index>(3, static_cast<Index>(kFlopsPerThread / flops));
  const auto start = std::chrono::steady_clock::now();
  ParallelFor(threads, threads, [&](Index t, int) {
    Operands& o = At(operands, t);
    Team alone;
    for (Index r = 0; r < repeats; ++r) {
      nn::Linear(
          o.weights,
          nn::LinearArgs<X, float>{
              .rows = rows, .x = o.x.data(), .x_stride = in, .y = o.y.data(), .y_stride = out},
          alone);
    }
  });
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return flops * static_cast<double>(repeats * threads) / seconds;
}

double MatmulRate(Index rows, Index in, Index out, int threads, const std::string& name) {
  const Precision precision = ParsePrecision(name);
  return precision == Precision::kF32
             ? MatmulRateOf<float>(rows, in, out, threads, precision)
             : MatmulRateOf<nn::BFloat16>(rows, in, out, threads, precision);
}

// --- Commands. -----------------------------------------------------------------------------------

class Worker {
 public:
  Json Answer(const Json& command) {
    const auto op = Field<std::string>(command, "op");
    if (op == "info") return {{"precisions", Precisions()}, {"threads", ResolveThreads(0)}};
    if (op == "prepare") return Prepare(command);
    if (op == "time") return Time(command);
    if (op == "write") return Write(command);
    if (op == "matmul") return Matmul(command);
    throw Error(ErrorCode::kInvalidArgument, "no command '{}'", op);
  }

 private:
  template <typename T>
  static T Field(const Json& command, const char* key) {
    return JsonField<T>(command, key, "command");
  }

  static int Threads(const Json& command) {
    return ResolveThreads(static_cast<int>(Field<std::int64_t>(command, "threads")));
  }

  void Load(const std::string& directory, const std::string& precision) {
    if (model_ && loaded_ == std::pair(directory, precision)) return;
    pass_ = nullptr;
    passes_.reset();
    decomposer_.reset();
    weights_.reset();
    model_.reset();
    model_.emplace(LoadModel(directory, precision));
    loaded_ = {directory, precision};
  }

  void ReadPixels(const std::string& file, Index batch) {
    NpyArray read = ReadNpy(file);
    const Index side = model_->config().preprocess.image_size;
    if (read.shape.size() != 4 || read.shape[0] < batch || read.shape[1] != 3 ||
        read.shape[2] != side || read.shape[3] != side) {
      throw Error(ErrorCode::kInvalidArgument, "{}: not [{} or more, 3, {}, {}]", file, batch, side,
                  side);
    }
    const Index size = 3 * side * side;
    pixels_.clear();
    for (Index b = 0; b < batch; ++b) {
      const auto begin = read.values.begin() + b * size;
      pixels_.emplace_back(Shape<3>{3, side, side}, std::vector<float>(begin, begin + size));
    }
  }

  Json Prepare(const Json& command) {
    Load(Field<std::string>(command, "model"), Field<std::string>(command, "precision"));
    const int threads = Threads(command);
    const auto task = Field<std::string>(command, "task");
    passes_.emplace(*model_, threads);
    block_ = {};
    contributions_ = {};
    if (task == "text") {
      texts_.clear();
      for (const Json& text : Field<Json>(command, "texts")) texts_.push_back(text);
      pass_ = [this, threads] { EmbedTexts(*model_, texts_, threads, rows_); };
      return {{"rows", texts_.size()}};
    }
    const Index batch = Field<std::int64_t>(command, "batch");
    ReadPixels(Field<std::string>(command, "pixels"), batch);
    const ModelConfig& config = model_->config();
    rows_ = Array<float, 2>({batch, config.embed_width});
    if (task == "image") {
      pass_ = [this] { EmbedImages(*model_, pixels_, *passes_, rows_); };
      return {{"rows", batch}};
    }
    if (task == "maps") {
      Array<float, 2> text({1, config.embed_width});
      std::ranges::fill(text.flat(), 1.0f / std::sqrt(static_cast<float>(config.embed_width)));
      weights_.emplace(model_->image_readout(), text, threads);
      pass_ = [this] { MapImages(*model_, *weights_, pixels_, *passes_, rows_); };
      return {{"rows", batch}};
    }
    if (task != "decompose" && task != "contributions") {
      throw Error(ErrorCode::kInvalidArgument, "no task '{}'", task);
    }
    if (!decomposer_) decomposer_.emplace(model_->image_readout(), threads);
    block_ = MakeBlock(decomposer_->basis().sizes(), batch);
    if (task == "decompose") {
      pass_ = [this] {
        DecomposeImages(*model_, *decomposer_, pixels_, *passes_, {rows_, block_});
      };
    } else {
      contributions_ = Array<float, 5>(
          {batch, config.vision.layers, config.vision.heads, config.tokens(), config.embed_width});
      pass_ = [this] {
        WriteOutContributions(*model_, *decomposer_, pixels_, *passes_, {rows_, block_},
                              contributions_);
      };
    }
    return {{"rows", batch}};
  }

  void RequirePrepared() const {
    if (!pass_) throw Error(ErrorCode::kPrecondition, "nothing was prepared");
  }

  Json Time(const Json& command) {
    RequirePrepared();
    const Index passes = Field<std::int64_t>(command, "passes");
    const auto start = std::chrono::steady_clock::now();
    for (Index p = 0; p < passes; ++p) pass_();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    return {{"seconds", seconds.count()}};
  }

  Json Write(const Json& command) {
    RequirePrepared();
    const auto prefix = Field<std::string>(command, "out");
    Json files = Json::object();
    const auto write = [&](const char* name, const auto& array) {
      if (array.empty()) return;
      const std::string file = prefix + "." + name + ".npy";
      WriteNpy(file, array.flat(), array.shape());
      files[name] = file;
    };
    write("rows", rows_);
    write("head_z", block_.head_z);
    write("mlp", block_.mlp);
    write("contributions", contributions_);
    return {{"files", files}};
  }

  // The best rate of each layer over `rows`, weighted by the layers' work.
  static Json Matmul(const Json& command) {
    const int threads = Threads(command);
    const auto precision = Field<std::string>(command, "precision");
    double work = 0;
    double seconds = 0;
    for (const Json& layer : Field<Json>(command, "layers")) {
      const Index in = layer.at(0);
      const Index out = layer.at(1);
      double best = 0;
      constexpr int kTries = 2;
      for (const Json& rows : Field<Json>(command, "rows")) {
        for (int attempt = 0; attempt < kTries; ++attempt) {
          best = std::max(best, MatmulRate(rows, in, out, threads, precision));
        }
      }
      work += static_cast<double>(in * out);
      seconds += static_cast<double>(in * out) / best;
    }
    return {{"flops_per_second", work / seconds}};
  }

  std::optional<ClipModel> model_;
  std::pair<std::string, std::string> loaded_;
  std::optional<Decomposer> decomposer_;
  std::optional<TokenWeights> weights_;
  std::optional<Passes> passes_;
  Pixels pixels_;
  std::vector<std::string> texts_;
  Array<float, 2> rows_;           // [B, E]
  FactorBlock block_;              // of "decompose" and "contributions"
  Array<float, 5> contributions_;  // [B, L, H, N, E]
  std::function<void()> pass_;     // one pass over what was prepared
};

void Serve() {
  Worker worker;
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      answer = worker.Answer(ParseJson(line, "command"));
    } catch (const std::exception& e) {
      answer = {{"error", e.what()}};
    }
    std::cout << DumpJson(answer) << std::endl;
  }
}

}  // namespace
}  // namespace cliplens

int main() {
  cliplens::Serve();
  return 0;
}
