#include "cliplens/model/picture_loop.h"

#include <utility>

#include "cliplens/io/printable.h"
#include "cliplens/model/unit_row.h"

namespace cliplens {
namespace {

constexpr std::size_t kMostName = 1024;  // bytes of a path in a message

}  // namespace

PictureLoop::PictureLoop(const ImageEncoder& encoder, const ImageSet& set,
                         const PictureLoopOptions& options)
    : encoder_(encoder), set_(set), options_(options), passes_(encoder, options_.threads) {}

void PictureLoop::Run(Index begin, Index end, PictureErrors& errors, ProgressCount& progress,
                      const Use& use) {
  passes_.ForImages(end - begin, [&](Index first, Index last, Workspace& workspace) {
    if (options_.before_pass) options_.before_pass();
    std::unique_ptr<Memory> memory = TakeMemory();
    RunPass(begin + first, begin + last, errors, *memory, workspace, use);
    progress.Add(last - first);
    const std::lock_guard lock(mutex_);
    spare_.push_back(std::move(memory));
  });
}

PictureRange PictureLoop::RunRange(Index begin, Index end, OnError on_error,
                                   ProgressCount& progress, const Use& use) {
  std::vector<std::optional<Item>> read(ToSize(end - begin));
  PictureErrors errors(on_error);
  Run(begin, end, errors, progress, [&](const PictureBatch& batch) {
    use(batch);
    for (Index k = 0; k < batch.size(); ++k) {
      At(read, At(batch.index, k) - begin) = std::move(At(batch.items, k));
    }
  });
  PictureRange range;
  for (std::size_t i = 0; i < read.size(); ++i) {
    if (!read[i]) continue;
    range.items.push_back(std::move(*read[i]));
    range.kept.push_back(static_cast<Index>(i));
  }
  range.skipped = errors.skipped();
  range.incomplete = errors.incomplete();
  range.oriented = errors.oriented();
  return range;
}

void PictureLoop::RunPass(Index begin, Index end, PictureErrors& errors, Memory& memory,
                          Workspace& workspace, const Use& use) const {
  memory.index.clear();
  memory.items.clear();
  memory.pixels.clear();
  const PreprocessConfig& preprocess =
      options_.preprocess ? *options_.preprocess : encoder_.config().preprocess;
  const std::function<void(Index, Index)> check_size = SizeCheckFor(preprocess);
  for (Index i = begin; i < end; ++i) {
    Item item;
    const std::optional<Image> image = errors.Read(set_, i, &item, check_size);
    if (!image || (options_.wanted && !options_.wanted(i, item, *image))) continue;
    memory.pixels.push_back(Preprocess(*image, preprocess));
    memory.index.push_back(i);
    memory.items.push_back(std::move(item));
  }
  if (memory.index.empty()) return;
  const auto count = static_cast<Index>(memory.index.size());
  const Shape<2> shape = {count, encoder_.config().embed_width};
  if (memory.embeddings.shape() != shape) memory.embeddings = Array<float, 2>(shape);
  std::span<Captures> captures;
  if (options_.captures) {
    if (memory.captures.size() < memory.index.size()) memory.captures.resize(memory.index.size());
    captures = {memory.captures.data(), memory.index.size()};
  }
  encoder_.EmbedImages(memory.pixels, memory.embeddings, workspace,
                       options_.captures.value_or(CaptureRequest{}), captures);
  for (Index k = 0; k < count; ++k) {
    CheckEmbedding(memory.embeddings.row(k), Printable(At(memory.items, k).path, kMostName));
  }
  use({memory.index, memory.items, memory.embeddings, captures});
}

std::unique_ptr<PictureLoop::Memory> PictureLoop::TakeMemory() {
  const std::lock_guard lock(mutex_);
  if (spare_.empty()) return std::make_unique<Memory>();
  std::unique_ptr<Memory> memory = std::move(spare_.back());
  spare_.pop_back();
  return memory;
}

}  // namespace cliplens
