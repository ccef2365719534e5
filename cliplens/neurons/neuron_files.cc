#include "cliplens/neurons/neuron_files.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/base/finite.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/io/file.h"

namespace cliplens {
namespace {

std::string Named(const char* what, Index layer) { return fmt::format("{}.L{}", what, layer); }

Matrix RowsIn(const NeuronFile& file, const std::string& name, Index rows, Index columns) {
  const std::vector<float> values = file.Floats(name, {rows, columns});
  return AsEigen(ArrayView<const float, 2>(values.data(), {rows, columns})).cast<double>();
}

// Whole numbers.
template <typename T>
std::vector<T> WholeIn(const NeuronFile& file, const std::string& name,
                       const std::vector<Index>& shape) {
  const std::vector<double> values = file.Doubles(name, shape);
  std::vector<T> out(values.size());
  std::ranges::transform(values, out.begin(), [](double v) { return static_cast<T>(v); });
  return out;
}

template <typename T>
constexpr DataType TypeOf() {
  if constexpr (std::is_same_v<T, double>) return DataType::kF64;
  if constexpr (std::is_same_v<T, std::int64_t>) return DataType::kI64;
  return DataType::kF32;
}

template <typename T, std::size_t R>
TensorToWrite TensorOf(std::string name, const Array<T, R>& values) {
  return {std::move(name),
          TypeOf<T>(),
          {values.shape().begin(), values.shape().end()},
          AsBytes(values.flat())};
}
template <typename T>
TensorToWrite TensorOf(std::string name, const std::vector<T>& values) {
  return {std::move(name), TypeOf<T>(), {std::ssize(values)}, AsBytes(std::span(values))};
}

Array<float, 2> AsFloats(const Matrix& values) {
  Array<float, 2> out({values.rows(), values.cols()});
  AsEigen(out.view()) = values.cast<float>();
  return out;
}

}  // namespace

const TensorEntry& NeuronFile::Find(const std::string& name, std::size_t axes) const {
  const TensorEntry& entry = file_.at(name);
  if (entry.shape.size() != axes ||
      std::ranges::any_of(entry.shape, [](Index n) { return n < 1; })) {
    throw Error(ErrorCode::kCorruptData, "{}: tensor '{}' has shape {}, {} axes were expected",
                file_.path().string(), name, ShapeText(entry.shape), axes);
  }
  return entry;
}

const TensorEntry& NeuronFile::Find(const std::string& name,
                                    const std::vector<Index>& shape) const {
  const TensorEntry& entry = file_.at(name);
  if (entry.shape != shape) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' has shape {}, {} was expected; collect again",
                file_.path().string(), name, ShapeText(entry.shape), ShapeText(shape));
  }
  return entry;
}

template <typename T>
std::vector<T> NeuronFile::Checked(const std::string& name, std::vector<T> values) const {
  if (AllFinite(std::span<const T>(values))) return values;
  throw Error(ErrorCode::kCorruptData,
              "{}: a number of tensor '{}' is not finite; restore it or collect again",
              file_.path().string(), name);
}

std::vector<float> NeuronFile::Floats(const std::string& name,
                                      const std::vector<Index>& shape) const {
  return Checked(name, file_.ReadAsFloat(Find(name, shape)));
}

std::vector<float> NeuronFile::Floats(const std::string& name, const std::vector<Index>& shape,
                                      Index first, Index count) const {
  return Checked(name, file_.ReadAsFloat(Find(name, shape), first, count));
}

std::vector<double> NeuronFile::Doubles(const std::string& name,
                                        const std::vector<Index>& shape) const {
  return Checked(name, file_.ReadNumbers(Find(name, shape)));
}

std::string AlphaName(Index layer) { return Named("alpha", layer); }
std::string SharedName(Index layer) { return Named("shared", layer); }

NeuronBlock MakeNeuronBlock(std::span<const NeuronPaths> paths, Index pictures) {
  NeuronBlock block;
  for (const NeuronPaths& p : paths) {
    block.alpha.emplace_back(Shape<3>{p.neurons(), pictures, p.channels()});
    block.shared.emplace_back(Shape<2>{pictures, p.shared().rows()});
  }
  block.embedding = Array<float, 2>({pictures, paths.front().embed_width()});
  return block;
}

NeuronBlock SelectPictures(const NeuronBlock& block, std::span<const Index> kept) {
  const auto pictures = static_cast<Index>(kept.size());
  const auto copy = [&](ArrayView<const float, 2> from, ArrayView<float, 2> to) {
    for (std::size_t i = 0; i < kept.size(); ++i) {
      std::ranges::copy(from.row(kept[i]), to.row(static_cast<Index>(i)).data());
    }
  };
  NeuronBlock out;
  for (const Array<float, 3>& alpha : block.alpha) {
    out.alpha.emplace_back(Shape<3>{alpha.dim(0), pictures, alpha.dim(2)});
    for (Index n = 0; n < alpha.dim(0); ++n) copy(alpha.view()[n], out.alpha.back().view()[n]);
  }
  for (const Array<float, 2>& shared : block.shared) {
    out.shared.emplace_back(Shape<2>{pictures, shared.dim(1)});
    copy(shared.view(), out.shared.back().view());
  }
  out.embedding = Array<float, 2>({pictures, block.embedding.dim(1)});
  copy(block.embedding.view(), out.embedding.view());
  return out;
}

std::vector<TensorToWrite> TensorsOf(const NeuronBlock& block, std::span<const NeuronPaths> paths) {
  std::vector<TensorToWrite> tensors;
  for (std::size_t l = 0; l < paths.size(); ++l) {
    tensors.push_back(TensorOf(AlphaName(paths[l].layer()), block.alpha[l]));
    tensors.push_back(TensorOf(SharedName(paths[l].layer()), block.shared[l]));
  }
  tensors.push_back(TensorOf("embedding", block.embedding));
  return tensors;
}

void WriteNeuronBasis(const std::filesystem::path& file, std::span<const NeuronPaths> paths) {
  std::vector<std::pair<std::string, Array<float, 2>>> parts;
  for (const NeuronPaths& p : paths) {
    for (std::size_t at = 0; at < p.values().size(); ++at) {
      parts.emplace_back(Named("values", p.layer()) + Named("", p.layer() + 1 + Index(at)),
                         AsFloats(p.values()[at]));
    }
    parts.emplace_back(SharedName(p.layer()), AsFloats(p.shared()));
  }
  // What later layers write is the same for all; those of the first layer are all of them.
  const NeuronPaths& first = paths.front();
  for (std::size_t at = 0; at < first.writes().size(); ++at) {
    parts.emplace_back(Named("writes", first.layer() + 1 + Index(at)),
                       AsFloats(first.writes()[at]));
  }
  std::vector<TensorToWrite> tensors;
  tensors.reserve(parts.size());
  for (const auto& [name, values] : parts) tensors.push_back(TensorOf(name, values));
  WriteSafetensors(file, tensors);
}

std::vector<NeuronPaths> ReadNeuronBasis(const std::filesystem::path& file, LayerRange layers,
                                         Index heads) {
  const NeuronFile basis(file);
  const Index first = layers.begin;
  const TensorEntry& value = basis.Find(Named("values", first) + Named("", first + 1), 2);
  const Index neurons = value.shape[0];
  const Index width = value.shape[1];
  const Index embed_width = basis.Find(SharedName(first), 2).shape[1];
  // The first later layer writes K rows for each channel, Q to a head; the constants have as many
  // rows as all later layers have channels.
  const Index pools = basis.Find(Named("writes", first + 1), 2).shape[0] / width;
  const Index rows = basis.Find(SharedName(first), 2).shape[0];
  Index others = 0;  // later layers
  while (basis.Has(Named("writes", first + 1 + others))) ++others;
  const bool fits = heads >= 1 && width % heads == 0 && pools >= 1 && others >= layers.size();
  const Index a_layer = fits ? heads * pools : 1;
  const Index plain = 2 * others * a_layer + 2 * pools + 1;
  // A LayerNorm over the heads' outputs adds two rows for each later layer.
  const bool sub_norm = rows == plain + 2 * others;
  if (!fits || (rows != plain && !sub_norm)) {
    throw Error(ErrorCode::kCorruptData,
                "{}: '{}' of {} rows does not fit layers of {} heads with {} channels each",
                file.string(), SharedName(first), rows, heads, pools);
  }
  const Index end = first + 1 + others;
  std::vector<Matrix> writes;
  for (Index l = first + 1; l < end; ++l) {
    writes.push_back(RowsIn(basis, Named("writes", l), pools * width, embed_width));
  }
  const Index chosen = layers.size();
  const Index known = chosen + others + chosen * others - chosen * (chosen - 1) / 2;
  if (basis.size() != known) {
    throw Error(ErrorCode::kCorruptData, "{}: {} tensors, {} were expected; collect again",
                file.string(), basis.size(), known);
  }
  std::vector<NeuronPaths> paths;
  for (Index l = layers.begin; l < layers.end; ++l) {
    std::vector<Matrix> values;
    for (Index later = l + 1; later < end; ++later) {
      values.push_back(RowsIn(basis, Named("values", l) + Named("", later), neurons, width));
    }
    const Index own = end - 1 - l;
    const Index directions = 2 * own * a_layer + 2 * pools + 1 + (sub_norm ? 2 * own : 0);
    paths.emplace_back(
        l, heads, std::move(values),
        std::vector<Matrix>(writes.begin() + static_cast<std::ptrdiff_t>(l - first), writes.end()),
        RowsIn(basis, SharedName(l), directions, embed_width));
  }
  return paths;
}

namespace {

// What tensors refer to beside the statistics.
struct Written {
  std::vector<double> variance;  // one number
  std::string items;             // lines as in a store's items file
};

std::vector<TensorToWrite> TensorsOf(std::span<const NeuronPaths> paths,
                                     const NeuronStatistics& statistics, Written& written) {
  std::vector<TensorToWrite> tensors;
  written.variance = {statistics.embedding.variance};
  tensors.push_back(TensorOf("embedding_mean", statistics.embedding.mean));
  tensors.push_back(TensorOf("embedding_variance", written.variance));
  for (const Item& item : statistics.items) written.items += ItemLine(item);
  if (!written.items.empty()) {
    tensors.push_back(
        {"items", DataType::kU8, {std::ssize(written.items)}, AsBytes(written.items)});
  }
  for (std::size_t l = 0; l < paths.size(); ++l) {
    const NeuronDirections& d = statistics.layers[l];
    const auto add = [&](const char* what, const auto& values) {
      tensors.push_back(TensorOf(Named(what, paths[l].layer()), values));
    };
    add("mean_alpha", d.mean_alpha);
    add("mean_shared", d.mean_shared);
    add("direction_top", d.top);
    add("direction_all", d.all);
    add("explained_top", d.top_explained);
    add("explained_all", d.all_explained);
    add("variance", d.variance);
    add("channel_share", d.channel_share);
    add("top_pictures", d.top_pictures);
    add("top_norm", d.top_norm);
    add("top_along", d.top_along);
  }
  return tensors;
}

}  // namespace

std::string WriteNeuronStatistics(const std::filesystem::path& file,
                                  std::span<const NeuronPaths> paths,
                                  const NeuronStatistics& statistics) {
  Written written;
  return WriteSafetensors(file, TensorsOf(paths, statistics, written));
}

std::string ChecksumOf(std::span<const NeuronPaths> paths, const NeuronStatistics& statistics) {
  Written written;
  return HashBytes(SafetensorsBytes(TensorsOf(paths, statistics, written)));
}

NeuronStatistics ReadNeuronStatistics(const std::filesystem::path& file,
                                      std::span<const NeuronPaths> paths, Index pictures) {
  const NeuronFile statistics(file);
  NeuronStatistics read;
  read.embedding.mean = statistics.Doubles("embedding_mean", {paths.front().embed_width()});
  if (statistics.Has("items")) {
    const std::vector<std::uint8_t> bytes =
        WholeIn<std::uint8_t>(statistics, "items", statistics.Find("items", 1).shape);
    read.items = ParseItems({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                            file.string() + ": items");
  }
  read.embedding.variance = statistics.Doubles("embedding_variance", {1}).front();
  for (const NeuronPaths& p : paths) {
    const Index neurons = p.neurons();
    const Index channels = p.channels();
    const Index width = p.embed_width();
    const auto name = [&](const char* what) { return Named(what, p.layer()); };
    const auto rows = [&](const char* what, Index columns) {
      return Array<float, 2>({neurons, columns}, statistics.Floats(name(what), {neurons, columns}));
    };
    const Index top = statistics.Find(name("top_norm"), 2).shape[1];
    NeuronDirections d;
    d.mean_alpha = Array<double, 2>({neurons, channels},
                                    statistics.Doubles(name("mean_alpha"), {neurons, channels}));
    d.mean_shared = statistics.Doubles(name("mean_shared"), {p.shared().rows()});
    d.top = rows("direction_top", width);
    d.all = rows("direction_all", width);
    d.top_explained = statistics.Floats(name("explained_top"), {neurons});
    d.all_explained = statistics.Floats(name("explained_all"), {neurons});
    d.variance = statistics.Floats(name("variance"), {neurons});
    d.channel_share = rows("channel_share", channels);
    d.top_pictures = Array<std::int64_t, 2>(
        {neurons, top}, WholeIn<std::int64_t>(statistics, name("top_pictures"), {neurons, top}));
    const Index named = read.items.empty() ? pictures : std::ssize(read.items);
    if (!std::ranges::all_of(d.top_pictures.flat(),
                             [&](std::int64_t i) { return i >= 0 && i < named; })) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor '{}' names pictures that are not there; restore it or collect again",
                  file.string(), name("top_pictures"));
    }
    d.top_norm = rows("top_norm", top);
    d.top_along = rows("top_along", top);
    read.layers.push_back(std::move(d));
  }
  return read;
}

}  // namespace cliplens
