#include "cliplens/decompose/decompose.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/decompose/sums.h"
#include "cliplens/decompose/verify.h"
#include "cliplens/io/image.h"
#include "cliplens/io/safetensors.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens {
namespace {

// Makes every number of row b one that halves hold. What is stored is what is measured: a store of
// halves has the statistics and the certificate of its halves.
void RoundToHalf(FactorBlock& block, Index b) {
  const auto round = [](std::span<float> values) {
    for (float& v : values) v = HalfToFloat(FloatToHalf(v));
  };
  for (Index l = 0; l < block.head_z.dim(0); ++l) {
    for (Index h = 0; h < block.head_z.dim(1); ++h) round(block.head_z.view()[l][h].row(b));
  }
  for (Index j = 0; j < block.mlp.dim(0); ++j) round(block.mlp[j].row(b));
  for (Index l = 0; l < block.cls_attn.dim(0); ++l) round(block.cls_attn[l].row(b));
  round(block.embedding.row(b));
}

bool IsFinite(const FactorBlock& block, Index b) {
  const auto finite = [](std::span<const float> values) {
    float sum = 0;  // stays NaN once a value is infinite or NaN: 0 · x
    for (const float v : values) sum += 0.0f * v;
    return sum == 0.0f;
  };
  for (Index l = 0; l < block.head_z.dim(0); ++l) {
    for (Index h = 0; h < block.head_z.dim(1); ++h) {
      if (!finite(block.head_z.view()[l][h].row(b))) return false;
    }
  }
  for (Index j = 0; j < block.mlp.dim(0); ++j) {
    if (!finite(block.mlp[j].row(b))) return false;
  }
  for (Index l = 0; l < block.cls_attn.dim(0); ++l) {
    if (!finite(block.cls_attn[l].row(b))) return false;
  }
  return finite(block.embedding.row(b)) && finite(block.ln.row(b));
}

// Rows `kept` of a block, in that order.
FactorBlock SelectRows(const FactorBlock& block, std::span<const Index> kept) {
  FactorBlock out = MakeBlock(block.head_z.dim(0), block.head_z.dim(1), block.head_z.dim(3),
                              block.embedding.dim(1), static_cast<Index>(kept.size()));
  const auto copy = [&](ArrayView<const float, 2> from, ArrayView<float, 2> to) {
    for (std::size_t i = 0; i < kept.size(); ++i) {
      std::ranges::copy(from.row(kept[i]), to.row(static_cast<Index>(i)).data());
    }
  };
  for (Index l = 0; l < block.head_z.dim(0); ++l) {
    for (Index h = 0; h < block.head_z.dim(1); ++h) {
      copy(block.head_z.view()[l][h], out.head_z.view()[l][h]);
    }
  }
  copy(block.ln, out.ln);
  for (Index j = 0; j < block.mlp.dim(0); ++j) copy(block.mlp[j], out.mlp[j]);
  for (Index l = 0; l < block.cls_attn.dim(0); ++l) copy(block.cls_attn[l], out.cls_attn[l]);
  copy(block.embedding, out.embedding);
  return out;
}

}  // namespace

Decomposer::Decomposer(const ClipModel& model, int threads) : basis_(MakeBasis(model, threads)) {
  const ModelConfig& config = model.config();
  layers_ = config.vision.layers;
  heads_ = config.vision.heads;
  head_width_ = config.vision.head_width();
  width_ = config.vision.width;
  embed_width_ = config.embed_width;
  tokens_ = config.tokens();
  const auto weights = [&](const char* name) -> const std::vector<float>& {
    return model.tensors().at(name).values;
  };
  const std::vector<float>& gain = weights("vision.ln_post.gain");
  const std::vector<float>& bias = weights("vision.ln_post.bias");
  const std::vector<float>& projection = weights("vision.projection");
  scaled_projection_ = Array<float, 2>({width_, embed_width_});
  Vector p_gain = Vector::Zero(embed_width_);
  Vector p_bias = Vector::Zero(embed_width_);
  for (Index d = 0; d < width_; ++d) {
    for (Index e = 0; e < embed_width_; ++e) {
      const double p = At(projection, d * embed_width_ + e);
      const double g = At(gain, d);
      scaled_projection_(d, e) = static_cast<float>(g * p);
      p_gain[e] += g * p;
      p_bias[e] += static_cast<double>(At(bias, d)) * p;
    }
  }
  for (Index e = 0; e < embed_width_; ++e) {
    p_gain_.push_back(static_cast<float>(p_gain[e]));
    p_bias_.push_back(static_cast<float>(p_bias[e]));
  }
}

void Decomposer::Fill(const Activations& a, std::span<const float> embedding, Scratch& scratch,
                      FactorBlock& block, Index b) const {
  for (Index l = 0; l < layers_; ++l) {
    for (Index h = 0; h < heads_; ++h) {
      std::ranges::copy(a.z[l].row(h), block.head_z.view()[l][h].row(b).data());
    }
  }
  block.ln(b, 0) = static_cast<float>(a.mean);
  block.ln(b, 1) = static_cast<float>(a.sigma);
  block.ln(b, 2) = static_cast<float>(a.norm);
  std::ranges::copy(embedding, block.embedding.row(b).data());

  // c = P^T(γ ⊙ (r − μ/J)/σ + β/J)/n for INPUT and each MLP.
  const auto components = static_cast<double>(2 * layers_ + 1);
  const double scale = 1.0 / (a.sigma * a.norm);
  std::vector<float>& rows = scratch.rows;
  rows.resize(ToSize((layers_ + 1) * embed_width_));
  nn::Gemm({.m = layers_ + 1,
            .n = embed_width_,
            .k = width_,
            .a = a.mlp.data(),
            .a_stride = width_,
            .b = scaled_projection_.data(),
            .b_stride = embed_width_,
            .c = rows.data(),
            .c_stride = embed_width_});
  for (Index j = 0; j <= layers_; ++j) {
    const std::span<float> out = block.mlp[j].row(b);
    for (Index e = 0; e < embed_width_; ++e) {
      const auto i = ToSize(e);
      out[i] = static_cast<float>(
          (At(rows, j * embed_width_ + e) - a.mean / components * p_gain_[i]) * scale +
          p_bias_[i] / components / a.norm);
    }
  }

  // The class token's attention to itself: Σ_h u^T B with 1/N of the layer's constants. The heads'
  // matrices of a layer stand one below the other, so the sum over heads is one product.
  const Index factor_width = head_width_ + kExtraFactors;
  std::vector<double>& u = scratch.u;
  std::vector<float>& factors = scratch.factors;
  u.resize(ToSize(factor_width));
  factors.resize(ToSize(heads_ * factor_width));
  for (Index l = 0; l < layers_; ++l) {
    for (Index h = 0; h < heads_; ++h) {
      FillFactor(a.z_self[l].row(h), a.mean, a.sigma, a.norm, u);
      float* factor = factors.data() + h * factor_width;
      for (Index k = 0; k < factor_width; ++k) {
        const double v = At(u, k);
        factor[k] = static_cast<float>(k < head_width_ ? v : v / static_cast<double>(tokens_));
      }
    }
    nn::Gemm({.m = 1,
              .n = embed_width_,
              .k = heads_ * factor_width,
              .a = factors.data(),
              .a_stride = heads_ * factor_width,
              .b = basis_.heads.view()[l].data(),
              .b_stride = embed_width_,
              .c = block.cls_attn[l].row(b).data(),
              .c_stride = embed_width_});
  }
}

namespace {

// The pictures of one range, from their files to their sums.
struct RangeWork {
  Index range = 0;
  bool computed = false;  // else read from what an interrupted run left
  FactorBlock block;
  std::vector<Item> items;
  std::vector<Index> slices;
  std::vector<SkippedPicture> skipped;
};

class Decomposition {
 public:
  Decomposition(const ClipModel& model, const ImageSet& set, const DecomposeOptions& options,
                StoreInfo info)
      : model_(model),
        set_(set),
        options_(options),
        threads_(ResolveThreads(options.threads)),
        decomposer_(model, threads_),
        writer_(options.out, decomposer_.basis(), info,
                options.resume ? PartialDirectory::Mode::kResume : PartialDirectory::Mode::kNew),
        source_(info.data.front()),
        passes_(model, threads_) {
    const StorePart part = info.part.value_or(StorePart{});
    first_ = part.first(source_.ranges());
    end_ = part.end(source_.ranges());
    images_ =
        std::min(end_ * source_.shard_images, source_.set_images) - first_ * source_.shard_images;
    const Basis& basis = decomposer_.basis();
    sums_ = StatisticsSums(basis.layers(), basis.num_heads(), basis.factor_width(),
                           basis.embed_width(), options.slices);
  }

  DecomposeResult Finish() {
    try {
      AddRanges();
      // Nobody wants a store of nothing, but a part of nothing is needed beside the others.
      if (sums_.images() > 0 || options_.part) {
        writer_.Finish(sums_);
      } else {
        writer_.Drop();
      }
    } catch (const Error& error) {
      if (!options_.keep_on_error) writer_.Drop();
      if (!options_.keep_on_error || writer_.done().empty()) throw;
      throw Error(error.code(),
                  "{}; {} of {} shards are done and stay in {}: run again with --resume",
                  error.what(), writer_.done().size(), end_ - first_, writer_.path().string());
    }
    if (sums_.images() == 0) ThrowNoneRead();
    DecomposeResult result;
    result.images = sums_.images();
    for (const auto& [number, range] : writer_.done()) {
      if (range.shard) ++result.shards;
      result.skipped.insert(result.skipped.end(), range.skipped.begin(), range.skipped.end());
    }
    result.resumed_ranges = resumed_ranges_;
    result.certificate = {sums_.certificate_max(), sums_.certificate_mean()};
    return result;
  }

 private:
  // Memory of one pass, kept between passes.
  struct PassMemory {
    std::vector<Array<float, 3>> pixels;
    std::vector<Index> rows;
    Array<float, 2> embeddings;
    std::vector<Activations> activations;
    Decomposer::Scratch scratch;
  };

  // While the pictures of one range are computed, the range before is summed and written, by the
  // threads that compute, so no more threads run than were asked for.
  void AddRanges() {
    Index next = first_;
    if (options_.stats_only && !writer_.done().empty()) {
      // The sums stand for all ranges up to the last that is recorded.
      if (std::optional<StatisticsSums> sums = writer_.ReadCheckpoint()) {
        sums_ = std::move(*sums);
        next = writer_.done().rbegin()->first + 1;
        resumed_ranges_ = next - first_;
      } else {
        writer_.Restart();
      }
    }
    for (Index r = first_; r < next; ++r) done_images_ += RangeImages(r);
    std::unique_ptr<RangeWork> before;
    for (; next < end_; ++next) {
      auto work = std::make_unique<RangeWork>();
      work->range = next;
      ReadOrCompute(*work, before.get());
      before = std::move(work);
    }
    Rest(*this, before.get()).RunOnAllThreads();
  }

  Index RangeImages(Index range) const {
    return std::min(source_.shard_images, source_.set_images - range * source_.shard_images);
  }

  void ReadOrCompute(RangeWork& work, RangeWork* before) {
    const auto found = writer_.done().find(work.range);
    if (found != writer_.done().end()) {
      const StoreWriter::Range& range = found->second;
      if (!range.shard || writer_.IsWhole(*range.shard)) {
        if (range.shard) {
          work.block = writer_.ReadShard(*range.shard, decomposer_.basis());
          work.items = writer_.ReadItems(*range.shard);
          for (const Item& item : work.items) {
            work.slices.push_back(SliceOf(item.path, options_.slices));
          }
        }
        ++resumed_ranges_;
        Rest(*this, before).RunOnAllThreads();
        Report(RangeImages(work.range));
        return;
      }
    }
    Compute(work, before);
  }

  void Compute(RangeWork& work, RangeWork* before) {
    const Index begin = work.range * source_.shard_images;
    const Index count = RangeImages(work.range);
    const Basis& basis = decomposer_.basis();
    work.computed = true;
    work.block = MakeBlock(basis.layers(), basis.num_heads(), basis.head_width(),
                           basis.embed_width(), count);
    work.items.resize(ToSize(count));
    work.slices.resize(ToSize(count));
    std::vector<char> read(ToSize(count), 0);
    PictureErrors errors(options_.on_error);
    Rest rest(*this, before);
    passes_.ForImages(count, [&](Index first, Index last, Workspace& workspace) {
      rest.Run();
      ComputePass(begin, first, last, workspace, errors, work, read);
    });
    rest.Run();
    work.skipped = errors.skipped();
    if (work.skipped.empty()) return;
    std::vector<Index> kept;
    std::vector<Item> items;
    std::vector<Index> slices;
    for (std::size_t b = 0; b < read.size(); ++b) {
      if (read[b] == 0) continue;
      kept.push_back(static_cast<Index>(b));
      items.push_back(std::move(work.items[b]));
      slices.push_back(work.slices[b]);
    }
    work.block = SelectRows(work.block, kept);
    work.items = std::move(items);
    work.slices = std::move(slices);
  }

  // Images [first, last) of the range that begins at picture `begin` of the set, from their files
  // to their rows of the block. Nothing of an image depends on its neighbours.
  void ComputePass(Index begin, Index first, Index last, Workspace& workspace,
                   PictureErrors& errors, RangeWork& work, std::vector<char>& read) {
    std::unique_ptr<PassMemory> memory = TakeMemory();
    memory->pixels.clear();
    memory->rows.clear();
    for (Index b = first; b < last; ++b) {
      Item& item = At(work.items, b);
      const std::optional<Image> image = errors.Read(set_, begin + b, &item);
      if (!image) continue;
      memory->pixels.push_back(Preprocess(*image, model_.config().preprocess));
      memory->rows.push_back(b);
      At(work.slices, b) = SliceOf(item.path, options_.slices);
    }
    const std::size_t images = memory->rows.size();
    if (images > 0) {
      const Shape<2> shape = {static_cast<Index>(images), model_.config().embed_width};
      if (memory->embeddings.shape() != shape) memory->embeddings = Array<float, 2>(shape);
      if (memory->activations.size() < images) memory->activations.resize(images);
      const std::span<Activations> activations(memory->activations.data(), images);
      model_.EmbedImages(memory->pixels, memory->embeddings, workspace, activations);
      for (std::size_t k = 0; k < images; ++k) {
        const Index b = memory->rows[k];
        decomposer_.Fill(activations[k], memory->embeddings.row(static_cast<Index>(k)),
                         memory->scratch, work.block, b);
        if (options_.type == StoreType::kF16) RoundToHalf(work.block, b);
        CheckFinite(work, b);
        At(read, b) = 1;
      }
    }
    Report(last - first);
    const std::lock_guard lock(memory_mutex_);
    memory_.push_back(std::move(memory));
  }

  void CheckFinite(const RangeWork& work, Index b) const {
    if (IsFinite(work.block, b)) return;
    const bool halves = options_.type == StoreType::kF16;
    throw Error(ErrorCode::kUnsupported,
                "{}: the contributions of this picture are not finite in {}; {}",
                At(work.items, b).path, NameOf(options_.type),
                halves ? "store them as fp32"
                       : "the model's activations overflow on it: check the weights");
  }

  std::unique_ptr<PassMemory> TakeMemory() {
    const std::lock_guard lock(memory_mutex_);
    if (memory_.empty()) return std::make_unique<PassMemory>();
    std::unique_ptr<PassMemory> memory = std::move(memory_.back());
    memory_.pop_back();
    return memory;
  }

  // What is left to do for a range whose images are computed: sums and files. Threads that come by
  // take task after task; the last one records the range as done.
  class Rest {
   public:
    // `work` may be null: nothing is left then.
    Rest(Decomposition& run, RangeWork* work) : run_(run), work_(work) {
      if (work == nullptr) return;
      summation_.emplace(run.sums_, work->block, work->slices, run.decomposer_.basis());
      tasks_ = summation_->tasks() + 1;
      left_ = tasks_;
    }

    void Run() {
      for (Index task = next_.fetch_add(1); task < tasks_; task = next_.fetch_add(1)) {
        const bool stats_only = run_.options_.stats_only;
        if (task > 0) {
          summation_->Run(task - 1);
        } else if (work_->computed && !stats_only) {
          run_.writer_.AddRange(work_->range, work_->block, work_->items, work_->skipped);
        }
        if (left_.fetch_sub(1) == 1 && work_->computed && stats_only) {
          run_.writer_.AddRange(work_->range, run_.sums_, work_->skipped);
        }
      }
    }

    void RunOnAllThreads() {
      ParallelFor(run_.threads_, run_.threads_, [&](Index, int) { Run(); });
    }

   private:
    Decomposition& run_;
    RangeWork* work_;
    std::optional<BlockSummation> summation_;
    Index tasks_ = 0;
    std::atomic<Index> next_{0};
    std::atomic<Index> left_{0};
  };

  void Report(Index images) {
    if (!options_.progress) return;
    const std::lock_guard lock(progress_mutex_);
    done_images_ += images;
    options_.progress(done_images_, images_);
  }

  [[noreturn]] void ThrowNoneRead() const {
    for (const auto& [number, range] : writer_.done()) {
      for (const SkippedPicture& picture : range.skipped) {
        throw Error(ErrorCode::kCorruptData, "{}: none of {} pictures can be read; the first: {}",
                    source_.root, images_, picture.message);
      }
    }
    throw Error(ErrorCode::kInternal, "{}: no pictures", source_.root);
  }

  const ClipModel& model_;
  const ImageSet& set_;
  const DecomposeOptions& options_;
  int threads_;
  Decomposer decomposer_;
  StoreWriter writer_;
  DataSource source_;
  Passes passes_;
  StatisticsSums sums_;
  Index first_ = 0, end_ = 0;  // ranges of the set
  Index images_ = 0;
  Index resumed_ranges_ = 0;
  std::mutex memory_mutex_;
  std::vector<std::unique_ptr<PassMemory>> memory_;
  std::mutex progress_mutex_;
  Index done_images_ = 0;
};

StoreInfo DescribeRun(const ClipModel& model, const ImageSet& set,
                      const DecomposeOptions& options) {
  StoreInfo info;
  info.model_name = model.name();
  info.model_path = std::filesystem::weakly_canonical(model.path()).string();
  info.model_architecture = model.architecture();
  info.fingerprint = model.fingerprint();
  info.model_config = ToJson(model.config());
  info.type = options.type;
  info.stats_only = options.stats_only;
  info.slices = options.slices;
  info.precision = NameOf(model.precision());
  info.data.push_back(DescribeSet(set, options.shard_images));
  const Index ranges = info.data.front().ranges();
  if (options.part) {
    if (options.part->of < 1 || options.part->index < 0 ||
        options.part->index >= options.part->of) {
      throw Error(ErrorCode::kInvalidArgument,
                  "part {} of {}: parts count from 0, so the last is {} of {}", options.part->index,
                  options.part->of, std::max<Index>(options.part->of, 1) - 1,
                  std::max<Index>(options.part->of, 1));
    }
    if (options.part->of > ranges) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{} parts of the {} pictures of {}: they are split by whole shards of {}, which "
                  "makes {}; ask for at most as many parts, or for smaller shards",
                  options.part->of, set.size(), set.root(), options.shard_images, ranges);
    }
    // A split into one is the set.
    if (options.part->of > 1) info.part = options.part;
  }
  return info;
}

// The store is there: is it the one that is asked for, and whole?
DecomposeResult CheckComplete(const StoreInfo& wanted, const DecomposeOptions& options) {
  const Manifest manifest = ReadManifest(options.out);
  CheckSameRun(wanted, manifest.info, options.out.string());
  VerifyOptions check;
  check.threads = options.threads;
  const std::vector<Problem> problems = VerifyStore(options.out, check);
  if (!problems.empty()) {
    throw Error(problems.front().code, "{}; remove {} and run again", problems.front().message,
                options.out.string());
  }
  DecomposeResult result;
  result.images = manifest.info.images;
  result.shards = static_cast<Index>(manifest.shards.size());
  result.complete_already = true;
  for (const SkippedItem& skipped : manifest.info.skipped) {
    result.skipped.push_back(skipped.picture);
  }
  result.certificate = manifest.info.certificate;
  return result;
}

}  // namespace

DecomposeResult Decompose(const ClipModel& model, const ImageSet& set,
                          const DecomposeOptions& options) {
  if (options.shard_images < 1) {
    throw Error(ErrorCode::kInvalidArgument, "shards of {} pictures; ask for one or more",
                options.shard_images);
  }
  StoreInfo info = DescribeRun(model, set, options);
  std::error_code ignored;
  if (options.resume && std::filesystem::exists(options.out, ignored)) {
    return CheckComplete(info, options);
  }
  return Decomposition(model, set, options, std::move(info)).Finish();
}

}  // namespace cliplens
