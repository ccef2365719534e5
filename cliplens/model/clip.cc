#include "cliplens/model/clip.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/nn/kernels.h"
#include "cliplens/model/nn/matmul.h"
#include "cliplens/model/unit_row.h"

namespace cliplens {
namespace {

// Rows of a pass: products of this many run at full speed, and their activations stay in cache.
constexpr Index kRowsAPass = 512;

// "text 3 ('a duck')", as messages name it.
std::string NameOfText(std::span<const std::string> texts, std::size_t i) {
  constexpr std::size_t kShown = 60;
  std::string shown = texts[i];
  if (shown.size() > kShown) {
    std::size_t cut = kShown;
    while (cut > 0 && (static_cast<unsigned char>(shown[cut]) & 0xC0) == 0x80) --cut;
    shown = shown.substr(0, cut) + "…";
  }
  return fmt::format("text {} ('{}')", i + 1, shown);
}

// Of the patch embedding; empty where convolutions stand in its place.
nn::Weights PatchWeights(const ModelConfig& config, const TensorMap& tensors) {
  if (config.stem.kind != StemKind::kPatches) return {};
  return {ValuesOf(tensors, "vision.patch.weight"),
          config.patch_bias ? ValuesOf(tensors, "vision.patch.bias") : nullptr, config.vision.width,
          3 * config.patch_size * config.patch_size, Precision::kF32};
}

}  // namespace

struct ClipModel::LazyTokenizer {
  std::once_flag once;
  std::optional<Tokenizer> tokenizer;
};

ClipModel ClipModel::Load(const std::filesystem::path& path, Precision precision,
                          const std::string& architecture, const std::string& weights,
                          const PictureChoice& pictures, bool with_text) {
  return ClipModel(LoadCheckpoint(path, architecture, weights, pictures, with_text), precision);
}

ClipModel::ClipModel(Checkpoint checkpoint, Precision precision)
    : checkpoint_(std::make_unique<Checkpoint>(std::move(checkpoint))),
      precision_(precision),
      patch_(PatchWeights(config(), tensors())),
      vision_(config().vision, checkpoint_->tensors, "vision", /*causal=*/false, precision,
              config().layout()),
      pool_(config().pool.kind == Pooling::kToken
                ? nullptr
                : std::make_unique<const TokenPool>(config(), tensors())),
      vision_readout_(config().vision, tensors(), "vision", config().embed_width, config().tokens(),
                      pool_ ? pool_->attention() : nullptr,
                      config().pool.kind == Pooling::kNormedAverage),
      tokenizer_(std::make_shared<LazyTokenizer>()) {
  if (patch_.empty()) stem_.emplace(config(), tensors());
  if (!config().has_text() || !checkpoint_->with_text) return;
  text_.emplace(config().text, checkpoint_->tensors, "text", config().causal, precision);
  text_readout_.emplace(config().text, tensors(), "text", config().embed_width, /*tokens=*/0);
}

namespace {

[[noreturn]] void ThrowNoText(const ClipModel& model) {
  if (model.config().has_text()) {
    throw Error(ErrorCode::kPrecondition,
                "{}: was loaded for pictures alone, and texts are asked for; load it whole",
                model.name());
  }
  throw Error(ErrorCode::kUnsupported,
              "{}: {}, which is not evaluated; give rows of texts that were made elsewhere: "
              "--text-rows FILE.npy, with the texts in FILE.txt beside it",
              model.name(), model.config().other_text);
}

}  // namespace

const Readout& ClipModel::text_readout() const {
  if (!text_readout_) ThrowNoText(*this);
  return *text_readout_;
}

void ClipModel::UseLevel(Level level) {
  level_.reset();
  if (level == Level::kBlocks) return;
  if (!pool_ || pool_->attention() == nullptr) {
    throw Error(
        ErrorCode::kUnsupported,
        "{}: has no attention pool, so there is no level of it; leave --level pool out, or name "
        "a model that has one (SigLIP, PE-Core, CoCa)",
        name());
  }
  level_ = std::make_unique<const PoolLevel>(config(), tensors(), *pool_->attention());
}

const Tower& ClipModel::image_tower() const {
  if (!level_) return vision_;
  throw Error(ErrorCode::kUnsupported,
              "{}: at the level of the pool the blocks have no part of the sum; leave --level pool "
              "out, or give a store of the blocks",
              name());
}

const Tower& ClipModel::text_tower() const {
  if (!text_) ThrowNoText(*this);
  return *text_;
}

void ClipModel::UseTextRows(TextRows rows) {
  if (rows.width() != config().embed_width) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: rows of {} numbers, embeddings of {} have {}; they are of another model",
                Printable(rows.files().front().string()), rows.width(), name(),
                config().embed_width);
  }
  text_rows_ = std::make_shared<const TextRows>(std::move(rows));
}

std::string ClipModel::text_fingerprint() const {
  return text_rows_ ? fingerprint() + " " + text_rows_->digest() : fingerprint();
}

const Tokenizer& ClipModel::tokenizer() const {
  if (!config().has_text()) ThrowNoText(*this);
  std::call_once(tokenizer_->once, [&] {
    const std::filesystem::path& directory = checkpoint_->vocabulary;
    Tokenizer loaded =
        config().text_rule
            ? Tokenizer::LoadFiles(directory, *config().text_rule, config().tokenizer_name)
        : config().tokenizer_rule == TokenizerRule::kHuggingFace
            ? Tokenizer::LoadHuggingFace(directory, config().context_length, config().eos_token_id)
            : Tokenizer::Load(directory, config().context_length, config().tokenizer_name,
                              config().text_class ? TextTail::kClassRow : TextTail::kPadding);
    if (loaded.vocabulary_size() > config().vocabulary_size) {
      throw Error(
          ErrorCode::kCorruptData,
          "{}: the tokenizer's files have {} ids, the weights rows for {}; take both from the "
          "same model",
          checkpoint_->path.string(), loaded.vocabulary_size(), config().vocabulary_size);
    }
    tokenizer_->tokenizer.emplace(std::move(loaded));
  });
  return *tokenizer_->tokenizer;
}

EncoderIdentity ClipModel::identity() const {
  return {.name = name(),
          .path = path(),
          .architecture = architecture(),
          .weights = checkpoint_->weights,
          .pictures = checkpoint_->pictures,
          .fingerprint = fingerprint(),
          .precision = precision()};
}

double ClipModel::logit_scale() const {
  constexpr double kUsual = 100;  // what CLIP models are trained up to
  if (!config().logit_scale) return kUsual;
  return std::exp(static_cast<double>(tensors().at("logit_scale").values.at(0)));
}

LogitRule ClipModel::logits() const {
  LogitRule rule{.scale = logit_scale()};
  if (config().logit_bias) rule.bias = double{tensors().at("logit_bias").values.at(0)};
  return rule;
}

Index ClipModel::images_a_pass() const {
  if (!vision_.items_share_a_pass()) return 1;
  return std::max<Index>(1, kRowsAPass / config().tokens());
}

namespace {

// Patches as rows [g², 3·P·P], in the order of the convolution's weight.
void CopyPatches(const Array<float, 3>& picture, Index patch, float* out) {
  const Index side = picture.dim(1);
  const Index grid = side / patch;
  for (Index gy = 0; gy < grid; ++gy) {
    for (Index gx = 0; gx < grid; ++gx) {
      for (Index c = 0; c < 3; ++c) {
        for (Index y = 0; y < patch; ++y, out += patch) {
          std::copy_n(picture.data() + (c * side + gy * patch + y) * side + gx * patch, patch, out);
        }
      }
    }
  }
}

}  // namespace

const float* ClipModel::EmbedPatches(std::span<const Array<float, 3>> pixels, Workspace& w) const {
  const Index width = config().vision.width;
  const Index patch = config().patch_size;
  const Index inputs = 3 * patch * patch;
  const Index places = config().layout().patches();
  const auto count = static_cast<Index>(pixels.size());
  float* embedded = w.hidden.Grow(count * places * width);
  if (stem_) {
    for (Index g = 0; g < count; ++g) {
      stem_->Run(At(pixels, g), embedded + g * places * width, w);
    }
    return embedded;
  }
  float* patches = w.patches.Grow(count * places * inputs);
  for (Index g = 0; g < count; ++g) {
    CopyPatches(At(pixels, g), patch, patches + g * places * inputs);
  }
  const auto product = [&](Index first, Index rows) {
    nn::Linear(patch_,
               nn::LinearArgs<float, float>{.rows = rows,
                                            .x = patches + first * inputs,
                                            .x_stride = inputs,
                                            .y = embedded + first * width,
                                            .y_stride = width},
               w.team);
  };
  if (patch_.rows_are_independent()) {
    product(0, count * places);
  } else {
    for (Index g = 0; g < count; ++g) product(g * places, places);
  }
  return embedded;
}

void ClipModel::Encode(std::span<const Array<float, 3>> pixels, const CaptureRequest& request,
                       const EncodeOutput& output, Workspace& w) const {
  const Index side = config().preprocess.image_size;
  const Index width = config().vision.width;
  const TokenLayout layout = config().layout();
  const Index tokens = layout.tokens();
  const auto count = static_cast<Index>(pixels.size());
  for (const Array<float, 3>& picture : pixels) {
    if (picture.shape() != Shape<3>{3, side, side}) {
      throw Error(ErrorCode::kInvalidArgument,
                  "pixels [{}, {}, {}] given to a model that reads [3, {}, {}]; use Preprocess "
                  "with the model's own configuration",
                  picture.dim(0), picture.dim(1), picture.dim(2), side, side);
    }
  }
  const float* embedded = EmbedPatches(pixels, w);
  // A pass may be filled up by a few rows (Tower::Run).
  float* x = w.x.Grow((count * tokens + Tower::kSpareRows) * width);
  const auto weights = [&](const char* name) { return tensors().at(name).values.data(); };
  const Index in_front = layout.prefix * width;
  const Index in_class = layout.has_class() ? width : 0;
  const Index in_patches = layout.patches() * width;
  const Index placed = config().placed().tokens() * width;
  const float* position = placed > 0 ? weights("vision.position") : nullptr;
  for (Index g = 0; g < count; ++g) {
    float* row = x + g * tokens * width;
    if (in_class > 0) std::copy_n(weights("vision.class"), in_class, row);
    if (in_front > in_class) {
      std::copy_n(weights("vision.registers"), in_front - in_class, row + in_class);
    }
    std::copy_n(embedded + g * in_patches, in_patches, row + in_front);
    float* from = row + tokens * width - placed;
    for (Index i = 0; i < placed; ++i) from[i] += position[i];
  }
  if (config().ln_pre) {
    nn::LayerNorm({.rows = count * tokens,
                   .width = width,
                   .x = x,
                   .gain = weights("vision.ln_pre.gain"),
                   .bias = weights("vision.ln_pre.bias"),
                   .epsilon = static_cast<float>(config().vision.norm_epsilon),
                   .y = x});
  }
  const std::vector<Tower::ItemRows> items(ToSize(count), {.tokens = tokens, .pooled = 0});
  if (!pool_) {
    vision_.Run(items, request, output, w);
    return;
  }
  w.rows_of.resize(ToSize(count));
  const EncodeOutput all{{w.pooled_rows.Grow(count * width), {count, width}}, w.rows_of};
  if (level_) level_->CheckRequest(request);
  vision_.Run(items, level_ ? CaptureRequest{.last = true} : pool_->Needs(request), all, w);
  for (Index g = 0; g < count; ++g) {
    Captures* captures = output.captures.empty() ? nullptr : &At(output.captures, g);
    if (level_) {
      level_->Pool(At(w.rows_of, g).last, request, captures, output.pooled.row(g));
    } else {
      pool_->Pool(At(w.rows_of, g), request, captures, output.pooled.row(g), w.team);
    }
  }
}

Index ClipModel::RowsOf(const Tokens& tokens) const {
  return config().reads_padding ? config().context_length : tokens.end + 1;
}

std::vector<Index> ClipModel::HiddenKeys(const Tokens& tokens) const {
  std::vector<Index> hidden;
  if (!config().text_class) return hidden;
  // open_clip's mask hides padding, whose id is 0, but stands one place too far to the right, and
  // published weights are trained so: a row is hidden if the id before it is 0.
  for (Index i = 1; i < tokens.end; ++i) {
    if (At(tokens.ids, i - 1) == 0) hidden.push_back(i);
  }
  if (tokens.count < config().context_length) hidden.push_back(tokens.end);
  return hidden;
}

void ClipModel::EmbedTokens(std::span<const Tokens> texts, ArrayView<float, 2> embeddings,
                            Workspace& w, const CaptureRequest& request,
                            std::span<Captures> captures) const {
  const Index width = config().text.width;
  std::vector<Tower::ItemRows> items;
  std::vector<std::vector<Index>> hidden;
  Index rows = 0;
  for (const Tokens& tokens : texts) {
    const Index count = RowsOf(tokens);
    if (count > config().text_places() || count > static_cast<Index>(tokens.ids.size()) ||
        tokens.end >= count) {
      throw Error(ErrorCode::kInvalidArgument, "a text of {} tokens for a context of {}", count,
                  config().context_length);
    }
    hidden.push_back(HiddenKeys(tokens));
    items.push_back({.tokens = count, .pooled = tokens.end});
    rows += count;
  }
  for (std::size_t i = 0; i < items.size(); ++i) items[i].hidden = hidden[i];
  float* x = w.x.Grow((rows + Tower::kSpareRows) * width);
  const float* table = tensors().at("text.token").values.data();
  const float* position = tensors().at("text.position").values.data();
  const float* class_row = config().text_class ? tensors().at("text.class").values.data() : nullptr;
  for (const Tokens& tokens : texts) {
    for (Index i = 0; i < RowsOf(tokens); ++i, x += width) {
      if (class_row != nullptr && i == tokens.end) {
        const float* last = position + config().context_length * width;
        for (Index k = 0; k < width; ++k) x[k] = class_row[k] + last[k];
        continue;
      }
      const Index id = At(tokens.ids, i);
      if (id < 0 || id >= config().vocabulary_size) {
        throw Error(ErrorCode::kInvalidArgument, "token {} for a vocabulary of {}", id,
                    config().vocabulary_size);
      }
      for (Index k = 0; k < width; ++k) x[k] = table[id * width + k] + position[i * width + k];
    }
  }
  const auto count = static_cast<Index>(items.size());
  const EncodeOutput output{{w.rows.Grow(count * width), {count, width}}, captures};
  text_tower().Run(items, request, output, w);
  EmbedPooled(text_readout(), output, embeddings);
}

std::vector<Tokens> ClipModel::TokenizeTexts(std::span<const std::string> texts, bool truncate,
                                             int threads) const {
  const Tokenizer& shared = tokenizer();
  std::vector<Tokens> tokens(texts.size());
  ParallelFor(threads, static_cast<Index>(texts.size()),
              [&](Index i, int) { At(tokens, i) = shared.Encode(At(texts, i)); });
  if (truncate) return tokens;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!tokens[i].truncated) continue;
    throw Error(ErrorCode::kInvalidArgument,
                "{} has more tokens than the context of {}; shorten it, or have long texts cut "
                "as the reference does (--truncate, \"Cut long texts\" in the explorer)",
                NameOfText(texts, i), config().context_length);
  }
  return tokens;
}

Array<float, 2> ClipModel::EmbedTexts(std::span<const std::string> texts, bool truncate,
                                      int threads, const ProgressSink& progress) const {
  if (text_rows_) {
    Array<float, 2> found({static_cast<Index>(texts.size()), config().embed_width});
    for (std::size_t i = 0; i < texts.size(); ++i) {
      std::ranges::copy(text_rows_->Find(texts[i]), found.row(static_cast<Index>(i)).data());
    }
    return found;
  }
  const std::vector<Tokens> tokens = TokenizeTexts(texts, truncate, threads);
  const auto count = static_cast<Index>(texts.size());
  Array<float, 2> rows({count, config().embed_width});
  Passes passes(*this, threads);
  std::mutex mutex;
  Index done = 0;
  passes.ForTexts(*this, tokens, [&](Index begin, Index end, Workspace& workspace) {
    EmbedTokens(std::span(tokens).subspan(ToSize(begin), ToSize(end - begin)),
                rows.rows(begin, end), workspace);
    if (progress) {
      const std::lock_guard lock(mutex);
      done += end - begin;
      progress(done, count);
    }
  });
  for (Index i = 0; i < count; ++i) CheckEmbedding(rows.row(i), NameOfText(texts, ToSize(i)));
  return rows;
}

Passes::Passes(const ImageEncoder& encoder, int threads)
    : encoder_(encoder), threads_(ResolveThreads(threads)) {}
Passes::~Passes() = default;

void Passes::ForImages(Index images, const Body& body) {
  encoder_.PrepareForImages(threads_);
  const Index a_thread = (images + threads_ - 1) / threads_;
  const Index a_pass = std::clamp<Index>(a_thread, 1, encoder_.images_a_pass());
  std::vector<Index> ends;
  for (Index end = 0; end < images;) ends.push_back(end = std::min(end + a_pass, images));
  Run(ends, body);
}

void Passes::ForTexts(const ClipModel& model, std::span<const Tokens> tokens, const Body& body) {
  model.text_tower().Pack(threads_);
  Index total = 0;
  for (const Tokens& t : tokens) total += model.RowsOf(t);
  const bool share = model.text_tower().items_share_a_pass();
  const Index most = share ? std::min(kRowsAPass, total / threads_ + 1) : 0;
  std::vector<Index> ends;
  Index rows = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const Index own = model.RowsOf(tokens[i]);
    if (i > 0 && rows + own > most) {
      ends.push_back(static_cast<Index>(i));
      rows = 0;
    }
    rows += own;
  }
  if (!tokens.empty()) ends.push_back(static_cast<Index>(tokens.size()));
  Run(ends, body);
}

void Passes::Run(std::span<const Index> ends, const Body& body) {
  const auto passes = static_cast<Index>(ends.size());
  if (passes == 0) return;
  // Fewer passes than threads: each gets a team.
  const int workers = static_cast<int>(std::min<Index>(threads_, passes));
  const int team = threads_ / workers;
  if (workspaces_.empty() || static_cast<int>(workspaces_.size()) < workers ||
      workspaces_.front().team.threads() != team) {
    workspaces_.clear();
    for (int i = 0; i < workers; ++i) workspaces_.emplace_back(team);
  }
  ParallelFor(workers, passes, [&](Index i, int worker) {
    const auto at = ToSize(i);
    body(i == 0 ? 0 : ends[at - 1], ends[at], At(workspaces_, worker));
  });
}

}  // namespace cliplens
