// cliplens._core: what the Python package is made of. python/cliplens/ gives it its names, types
// and documents.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "cliplens/analysis/zero_shot.h"
#include "cliplens/app/models.h"
#include "cliplens/app/pictures.h"
#include "cliplens/base/error.h"
#include "cliplens/base/version.h"
#include "cliplens/cli/command_line.h"
#include "cliplens/dataset/memory_set.h"
#include "cliplens/decompose/factor_sink.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/decompose/merge.h"
#include "cliplens/decompose/range_set.h"
#include "cliplens/decompose/store.h"
#include "cliplens/io/file_name.h"
#include "cliplens/model/preprocess.h"
#include "cliplens/python/given_pictures.h"
#include "cliplens/python/verb_table.h"
#include "cliplens/python/work.h"

namespace cliplens::python {
namespace nb = nanobind;
namespace {

template <std::size_t R>
using FloatArray = nb::ndarray<nb::numpy, float, nb::ndim<R>, nb::c_contig>;
using FloatInput = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;

// The array itself, not a copy.
template <std::size_t R>
FloatArray<R> ToNumpy(Array<float, R> array) {
  auto* kept = new Array<float, R>(std::move(array));
  const nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<Array<float, R>*>(p); });
  std::array<std::size_t, R> shape;
  for (std::size_t axis = 0; axis < R; ++axis) shape[axis] = ToSize(kept->dim(axis));
  return FloatArray<R>(kept->data(), R, shape.data(), owner);
}

template <std::size_t R>
Array<float, R> FromNumpy(const FloatInput& input, const Shape<R>& shape, const char* name) {
  bool same = input.ndim() == R;
  for (std::size_t axis = 0; same && axis < R; ++axis)
    same = ToSize(shape[axis]) == input.shape(axis);
  if (!same) {
    std::string wanted, given;
    for (const Index n : shape) wanted += (wanted.empty() ? "" : ", ") + std::to_string(n);
    for (std::size_t a = 0; a < input.ndim(); ++a) {
      given += (given.empty() ? "" : ", ") + std::to_string(input.shape(a));
    }
    throw Error(ErrorCode::kInvalidArgument, "{}: float32 [{}] is wanted, [{}] was given", name,
                wanted, given);
  }
  Array<float, R> array(shape);
  std::copy_n(input.data(), input.size(), array.data());
  return array;
}

// Text that may not be UTF-8, as Python writes names of files: surrogateescape.
nb::str TextOf(const std::string& bytes) {
  return nb::steal<nb::str>(
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "surrogateescape"));
}

// And the way back: what Python encoded.
std::string StringOf(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

using Bytes = std::vector<nb::bytes>;

std::vector<std::string> StringsOf(const Bytes& bytes) {
  std::vector<std::string> strings;
  strings.reserve(bytes.size());
  for (const nb::bytes& b : bytes) strings.push_back(StringOf(b));
  return strings;
}

std::vector<std::string> NamesOf(const Components& components) {
  std::vector<std::string> names;
  for (Index i = 0; i < components.size(); ++i) names.push_back(NameOf(components.at(i)));
  return names;
}

struct VerbResult {
  std::string out;
  std::vector<std::string> problems;
};

VerbResult RunVerb(const std::vector<std::string>& arguments, const nb::object& on_progress) {
  return RunUnlocked(on_progress, [&](const ProgressFor& progress) {
    VerbResult result;
    const cli::StreamsInUse streams(
        {.out = [&](std::string_view text) { result.out += text; },
         .problem = [&](std::string_view line) { result.problems.emplace_back(line); },
         .progress = progress});
    cli::CommandLine().Run(arguments);
    return result;
  });
}

// A set of pictures in memory, under its name as long as this lives; without a name it is not
// found.
struct Pictures {
  Pictures(const std::string& name, const nb::bytes& root, const Bytes& names,
           const std::vector<std::optional<std::string>>& labels,
           const std::vector<std::string>& attributes, const Bytes& files, nb::object read)
      : Pictures(name, std::make_shared<RangeSet>(InMemory(StringOf(root), std::ssize(names)), 0,
                                                  Listed(names, labels, attributes, files),
                                                  ReadOf(std::move(read)))) {}

  // A range of a set that another process listed (RangeLines).
  Pictures(const std::string& name, const std::string& source, Index begin, const nb::bytes& lines,
           nb::object read)
      : Pictures(name, std::make_shared<RangeSet>(ParseData(ParseJson(source, "set"), "set"), begin,
                                                  ParseRange(StringOf(lines), "range"),
                                                  ReadOf(std::move(read)))) {}

  // A set as the command line opens it.
  Pictures(const nb::bytes& images, std::string split, std::string path_column, bool allow_absolute,
           bool exif_orientation, bool skip_errors)
      : Pictures("", OpenImages({.images = StringOf(images),
                                 .split = std::move(split),
                                 .path_column = std::move(path_column),
                                 .allow_absolute = allow_absolute,
                                 .exif_orientation = exif_orientation},
                                skip_errors ? OnError::kSkip : OnError::kStop)) {}

  Pictures(const std::string& name, std::shared_ptr<const ImageSet> given) : set(std::move(given)) {
    if (!name.empty()) named.emplace(name, set);
  }

  static DataSource InMemory(const std::string& root, Index images) {
    DataSource source;
    source.kind = "memory";
    source.root = NameText(root);
    source.set_images = images;
    return source;
  }

  static std::vector<ListedPicture> Listed(const Bytes& names,
                                           const std::vector<std::optional<std::string>>& labels,
                                           const std::vector<std::string>& attributes,
                                           const Bytes& files) {
    const std::vector<std::string> paths = StringsOf(names), read = StringsOf(files);
    std::vector<ListedPicture> pictures;
    pictures.reserve(paths.size());
    for (std::size_t i = 0; i < paths.size(); ++i) {
      ListedPicture picture{.item = {.path = NameText(paths[i]), .label = labels.at(i)}};
      if (!attributes.at(i).empty()) picture.item.attributes = ParseJson(attributes[i], paths[i]);
      if (!read.at(i).empty()) picture.extent = {.file = read[i]};
      pictures.push_back(std::move(picture));
    }
    return pictures;
  }

  // The set's entry of a manifest. It is said to lie at `root`, unless that is empty.
  std::string Describe(Index shard_images, const nb::bytes& root) const {
    const std::string place = StringOf(root);
    const nb::gil_scoped_release unlocked;
    DataSource source = DescribeSet(*set, shard_images);
    if (!place.empty()) source.root = NameText(place);
    return DumpJson(DataJson(source));
  }

  nb::bytes Lines(Index begin, Index end, const nb::bytes& folder) const {
    const std::string front = StringOf(folder);
    std::string lines;
    {
      const nb::gil_scoped_release unlocked;
      lines = RangeLines(*set, begin, end, front);
    }
    return nb::bytes(lines.data(), lines.size());
  }

  // Whether the pictures [begin, end) lie in files or pieces of files.
  bool AreFiles(Index begin, Index end) const {
    const nb::gil_scoped_release unlocked;
    for (Index i = begin; i < end; ++i) {
      if (!set->extent(i)) return false;
    }
    return true;
  }

  nb::bytes Read(Index i) const {
    std::vector<std::uint8_t> bytes;
    {
      const nb::gil_scoped_release unlocked;
      bytes = set->Read(i);
    }
    return nb::bytes(bytes.data(), bytes.size());
  }

  std::shared_ptr<const ImageSet> set;
  std::optional<NamedImageSet> named;
};

class Model {
 public:
  Model(const nb::bytes& model, std::string architecture, std::string weights,
        std::string precision, std::string level, Index image_size, std::string resize_backend,
        std::vector<std::string> text_rows, bool pictures_alone, const nb::object& fetch)
      : named_(Load({.model = StringOf(model),
                     .architecture = std::move(architecture),
                     .weights = std::move(weights),
                     .precision = std::move(precision),
                     .with_text = !pictures_alone,
                     .level = ParseLevel(level),
                     .image_size = image_size,
                     .resize_backend = std::move(resize_backend),
                     .text_rows = std::move(text_rows),
                     .option = "model"},
                    fetch)) {}

  const std::string& handle() const { return named_.name(); }
  const ClipModel& clip() const { return named_.model(); }
  Components components() const { return clip().image_readout().components(); }

  FloatArray<2> EmbedPictures(const Pictures& pictures, int threads,
                              const nb::object& on_progress) const {
    return ToNumpy(RunUnlocked(on_progress, [&](const ProgressFor& progress) {
      return EmbedImages(clip(), *pictures.set, threads, progress("embed"));
    }));
  }

  FloatArray<2> EmbedTexts(const std::vector<std::string>& texts, bool truncate, int threads,
                           const nb::object& on_progress) const {
    return ToNumpy(RunUnlocked(on_progress, [&](const ProgressFor& progress) {
      return clip().EmbedTexts(texts, truncate, threads, progress("embed"));
    }));
  }

  // [3, S, S] of picture i.
  FloatArray<3> PreprocessPicture(const Pictures& pictures, Index i) const {
    return ToNumpy(RunUnlocked(nb::none(), [&](const ProgressFor&) {
      const PreprocessConfig& config = clip().config().preprocess;
      const ImageSet& set = *pictures.set;
      return Preprocess(DecodePicture(set, i, set.path(i), {.check_size = SizeCheckFor(config)}),
                        config);
    }));
  }

  std::vector<std::vector<std::int32_t>> TokenIds(const std::vector<std::string>& texts,
                                                  bool truncate) const {
    const nb::gil_scoped_release unlocked;
    std::vector<std::vector<std::int32_t>> ids;
    for (Tokens& tokens : clip().TokenizeTexts(texts, truncate, 1)) {
      ids.push_back(std::move(tokens.ids));
    }
    return ids;
  }

 private:
  static LoadedModel Load(ModelChoice choice, const nb::object& fetch) {
    if (!fetch.is_none()) {
      choice.fetch = [&fetch](const std::string& name) {
        const nb::gil_scoped_acquire locked;
        fetch(name);
      };
    }
    return RunUnlocked(nb::none(), [&](const ProgressFor&) { return LoadModel(choice); });
  }

  NamedModel named_;
};

class OpenStore {
 public:
  explicit OpenStore(const nb::bytes& directory) : store_(Store::Open(StringOf(directory))) {}

  const Store& store() const { return store_; }

  // One item a line, as in the store.
  nb::str Items() const {
    Json items = Json::array();
    for (const Item& item : store_.ReadItems()) {
      Json json = {{"path", item.path}, {"attributes", item.attributes}};
      if (item.label) json["label"] = *item.label;
      items.push_back(std::move(json));
    }
    return TextOf(DumpJson(items));
  }

  FloatArray<2> Embeddings() const {
    return ToNumpy(
        RunUnlocked(nb::none(), [&](const ProgressFor&) { return store_.ReadEmbeddings(); }));
  }

  // [images, E] of one component: a head, all heads of a layer, INPUT or an MLP.
  FloatArray<2> Contributions(const std::string& name) const {
    return ToNumpy(RunUnlocked(nb::none(), [&](const ProgressFor&) {
      const Components components = store_.basis().components();
      const std::vector<ComponentId> ids = ParseComponents(name, components);
      Matrix sum = Matrix::Zero(store_.info().images, store_.basis().embed_width());
      const Array<float, 2> ln = store_.ReadLn();
      for (const ComponentId& id : ids) {
        const Components::Range range = components.NumbersOf(id);
        for (Index number = range.begin; number < range.end; ++number) {
          if (components.IsHead(number)) {
            AddHead(components.HeadAt(number), ln, sum);
          } else {
            AddPart(components.ResidualAt(number), sum);
          }
        }
      }
      Array<float, 2> rows({sum.rows(), sum.cols()});
      std::transform(sum.data(), sum.data() + sum.size(), rows.data(),
                     [](double value) { return static_cast<float>(value); });
      return rows;
    }));
  }

 private:
  void AddHead(HeadId id, const Array<float, 2>& ln, Matrix& sum) const {
    const Basis& basis = store_.basis();
    sum +=
        FactorsOf(basis.layout(), store_.ReadHead(id), ln) * AsEigen(basis.at(id)).cast<double>();
  }

  void AddPart(Index part, Matrix& sum) const {
    Index first = 0;
    for (Index s = 0; s < store_.num_shards(); ++s) {
      const Array<float, 2> rows = store_.ReadMlp(part, s);
      sum.middleRows(first, rows.dim(0)) += AsEigen(rows.view()).cast<double>();
      first += rows.dim(0);
    }
  }

  Store store_;
};

// Writes factors that were made elsewhere, range by range.
class FactorWriter {
 public:
  // `info` as JSON; `basis` [L, H, K+3, E], or none with `sizes` L, H, E and whether there is a
  // POOL.MLP, where factors are contributions.
  FactorWriter(const nb::bytes& directory, const std::optional<FloatInput>& basis,
               std::tuple<Index, Index, Index, bool> sizes, const std::string& info,
               const Pictures& pictures, int threads)
      : threads_(threads), set_(pictures.set) {
    Basis made;
    if (basis) {
      if (basis->ndim() != 4) {
        throw Error(ErrorCode::kInvalidArgument, "basis: float32 [L, H, K+3, E] is wanted");
      }
      Shape<4> shape;
      for (std::size_t a = 0; a < 4; ++a) shape[a] = static_cast<Index>(basis->shape(a));
      made.heads = FromNumpy<4>(*basis, shape, "basis");
    } else {
      const auto [layers, heads, width, pool_mlp] = sizes;
      made = IdentityBasis({.layers = layers,
                            .heads = heads,
                            .factor = {.values = width, .constants = 0},
                            .embed_width = width,
                            .pool_mlp = pool_mlp});
    }
    const Json given = ParseJson(info, "info");
    StoreInfo run;
    run.model_name = given.at("name").get<std::string>();
    run.model_path = given.at("path").get<std::string>();
    run.fingerprint = given.at("fingerprint").get<std::string>();
    run.precision = given.at("precision").get<std::string>();
    run.model_config = given.at("config");
    run.factor_constants = basis ? FactorLayout{}.constants : 0;
    shard_images_ = given.at("shard_images").get<Index>();
    run.data = {DescribeSet(*set_, shard_images_)};
    if (given.contains("part")) {
      run.part = {given.at("part").at(0).get<Index>(), given.at("part").at(1).get<Index>()};
    }
    run.stats_only = given.value("stats_only", false);
    run.slices = given.value("slices", kDefaultSlices);
    sink_.emplace(StringOf(directory), std::move(made), std::move(run),
                  PartialDirectory::Mode::kNew, "remove it");
  }

  // The pictures of the next range.
  Index next_images() const {
    const Index range = sink_->first_range() + ranges_;
    return range < sink_->end_range() ? sink_->ImagesOf(range) : 0;
  }

  // `skipped`: numbers within the range of pictures that the factors are not of, and why.
  void Add(const FloatInput& head_z, const FloatInput& ln, const FloatInput& mlp,
           const FloatInput& cls_attn, const FloatInput& embedding,
           const std::vector<std::pair<Index, std::string>>& skipped) {
    const Index number = sink_->first_range() + ranges_;
    const Index begin = number * shard_images_;
    FactorRange range{.range = number};
    auto next = skipped.begin();
    for (Index i = 0; i < next_images(); ++i) {
      Item item = set_->item(begin + i);
      if (next != skipped.end() && next->first == i) {
        range.skipped.push_back({begin + i, item.path, (next++)->second});
      } else {
        range.items.push_back(std::move(item));
      }
    }
    FactorBlock& block = range.block;
    block = MakeBlock(sink_->basis().sizes(), std::ssize(range.items));
    block.head_z = FromNumpy<4>(head_z, block.head_z.shape(), "head_z");
    block.ln = FromNumpy<2>(ln, block.ln.shape(), "ln");
    block.mlp = FromNumpy<3>(mlp, block.mlp.shape(), "mlp");
    block.cls_attn = FromNumpy<3>(cls_attn, block.cls_attn.shape(), "cls_attn");
    block.embedding = FromNumpy<2>(embedding, block.embedding.shape(), "embedding");
    for (Index b = 0; b < block.images(); ++b) {
      if (!IsFinite(block, b)) {
        throw Error(ErrorCode::kInvalidArgument, "{}: its factors have a number that is not finite",
                    At(range.items, b).path);
      }
    }
    done_ += next_images();
    const nb::gil_scoped_release unlocked;
    sink_->Add(std::move(range), threads_);
    ++ranges_;
  }

  // The largest certificate.
  double Finish() {
    if (next_images() > 0) {
      throw Error(ErrorCode::kPrecondition, "{} of {} pictures were added; add the rest", done_,
                  set_->size());
    }
    const nb::gil_scoped_release unlocked;
    return sink_->Finish().certificate.max;
  }

  void Drop() { sink_->Drop(); }
  void Close() { sink_.reset(); }

 private:
  int threads_;
  std::shared_ptr<const ImageSet> set_;  // of the items; its pictures are not read
  Index shard_images_ = kShardImages;
  std::optional<FactorSink> sink_;
  Index done_ = 0, ranges_ = 0;
};

// Texts for stores of models with this fingerprint get their rows from `embed(texts, truncate)`,
// float32 [M, E], while it lives.
class Encoder {
 public:
  Encoder(std::string fingerprint, nb::object embed)
      : embed_(std::move(embed)),
        in_use_(std::move(fingerprint), [this](std::span<const std::string> texts, bool truncate) {
          return Rows(texts, truncate);
        }) {}

 private:
  Array<float, 2> Rows(std::span<const std::string> texts, bool truncate) const {
    const nb::gil_scoped_acquire locked;
    try {
      const std::vector<std::string> list(texts.begin(), texts.end());
      const auto rows = nb::cast<FloatInput>(embed_(list, truncate));
      if (rows.ndim() != 2) {
        throw Error(ErrorCode::kInvalidArgument, "texts: their rows are float32 [M, E]");
      }
      return FromNumpy<2>(
          rows, {static_cast<Index>(rows.shape(0)), static_cast<Index>(rows.shape(1))}, "texts");
    } catch (nb::python_error& error) {
      const std::string what = nb::cast<std::string>(nb::str(error.value()));
      throw Error(ErrorCode::kInvalidArgument, "texts: cannot be embedded: {}: {}",
                  nb::cast<std::string>(error.type().attr("__name__")), what);
    } catch (const nb::cast_error&) {
      throw Error(ErrorCode::kInvalidArgument, "texts: their rows are float32 [M, E]");
    }
  }

  nb::object embed_;
  TextEncoderInUse in_use_;
};

void TranslateError(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    const nb::object type =
        nb::module_::import_("cliplens.errors").attr("of_code")(InfoOf(error.code()).name);
    PyErr_SetString(type.ptr(), error.what());
  }
}

}  // namespace

NB_MODULE(_core, module) {
  nb::register_exception_translator(TranslateError);
  module.def("version", [] { return std::string(kVersion); });

  module.def(
      "run",
      [](const Bytes& arguments,
         const nb::object& on_progress) -> nb::typed<nb::tuple, nb::str, std::vector<std::string>> {
        const VerbResult result = RunVerb(StringsOf(arguments), on_progress);
        return nb::make_tuple(TextOf(result.out), result.problems);
      },
      nb::arg("arguments"), nb::arg("on_progress").none() = nb::none());
  module.def("verb_table", &VerbTable);
  module.def(
      "merge_statistics",
      [](const Bytes& files, const nb::bytes& out) {
        const std::vector<std::string> paths = StringsOf(files);
        const std::string to = StringOf(out);
        const nb::gil_scoped_release unlocked;
        MergeStatistics(std::vector<std::filesystem::path>(paths.begin(), paths.end()), to);
      },
      nb::arg("files"), nb::arg("out"));
  module.def(
      "raw_name",
      [](const std::string& text) {
        const std::string name = RawName(text);
        return nb::bytes(name.data(), name.size());
      },
      nb::arg("text"));
  module.def(
      "checksum",
      [](const nb::bytes& file) {
        const std::string path = StringOf(file);
        const nb::gil_scoped_release unlocked;
        return HashFile(path);
      },
      nb::arg("file"));
  module.def(
      "assemble_store",
      [](const Bytes& parts,
         const nb::bytes& statistics) -> nb::typed<nb::tuple, nb::str, std::vector<Index>> {
        const std::vector<std::string> paths = StringsOf(parts);
        const AssembledStore store = AssembleStore(
            std::vector<std::filesystem::path>(paths.begin(), paths.end()), StringOf(statistics));
        return nb::make_tuple(store.manifest, store.ranges);
      },
      nb::arg("parts"), nb::arg("statistics"));
  nb::class_<Encoder>(module, "Encoder")
      .def(nb::init<std::string, nb::object>(), nb::arg("fingerprint"), nb::arg("embed"));

  nb::class_<Pictures>(module, "Pictures")
      .def(nb::init<const std::string&, const nb::bytes&, const Bytes&,
                    const std::vector<std::optional<std::string>>&, const std::vector<std::string>&,
                    const Bytes&, nb::object>(),
           nb::arg("name"), nb::arg("root"), nb::arg("names"), nb::arg("labels"),
           nb::arg("attributes"), nb::arg("files"), nb::arg("read").none())
      .def(nb::init<const std::string&, const std::string&, Index, const nb::bytes&, nb::object>(),
           nb::arg("name"), nb::arg("source"), nb::arg("begin"), nb::arg("lines"),
           nb::arg("read").none())
      .def_prop_ro("name", [](const Pictures& p) { return p.named ? p.named->path() : ""; })
      .def(nb::init<const nb::bytes&, std::string, std::string, bool, bool, bool>(),
           nb::arg("images"), nb::arg("split"), nb::arg("path_column"), nb::arg("allow_absolute"),
           nb::arg("exif_orientation"), nb::arg("skip_errors"))
      .def("__len__", [](const Pictures& p) { return p.set->size(); })
      .def_prop_ro("notes", [](const Pictures& p) { return LinesOf(p.set->left_out()); })
      .def("describe", &Pictures::Describe, nb::arg("shard_images"),
           nb::arg("root") = nb::bytes(""))
      .def("lines", &Pictures::Lines, nb::arg("begin"), nb::arg("end"), nb::arg("folder"))
      .def(
          "path", [](const Pictures& p, Index i) { return p.set->path(i); }, nb::arg("index"))
      .def("are_files", &Pictures::AreFiles, nb::arg("begin"), nb::arg("end"))
      .def("read", &Pictures::Read, nb::arg("index"));

  nb::class_<Model>(module, "Model")
      .def(nb::init<const nb::bytes&, std::string, std::string, std::string, std::string, Index,
                    std::string, std::vector<std::string>, bool, const nb::object&>(),
           nb::arg("model"), nb::arg("architecture"), nb::arg("weights"), nb::arg("precision"),
           nb::arg("level"), nb::arg("image_size"), nb::arg("resize_backend"), nb::arg("text_rows"),
           nb::arg("pictures_alone"), nb::arg("fetch").none())
      .def_prop_ro("handle", &Model::handle)
      .def_prop_ro("name", [](const Model& m) { return m.clip().name(); })
      .def_prop_ro("path", [](const Model& m) { return TextOf(m.clip().path().native()); })
      .def_prop_ro("fingerprint", [](const Model& m) { return m.clip().fingerprint(); })
      .def_prop_ro("precision", [](const Model& m) { return NameOf(m.clip().precision()); })
      .def_prop_ro("level", [](const Model& m) { return NameOf(m.components().level()); })
      .def_prop_ro("embed_width", [](const Model& m) { return m.clip().config().embed_width; })
      .def_prop_ro("image_size",
                   [](const Model& m) { return m.clip().config().preprocess.image_size; })
      .def_prop_ro("layers", [](const Model& m) { return m.components().layers(); })
      .def_prop_ro("heads", [](const Model& m) { return m.components().heads_a_layer(); })
      .def_prop_ro("components", [](const Model& m) { return NamesOf(m.components()); })
      .def_prop_ro("logit_scale", [](const Model& m) { return m.clip().logits().scale; })
      .def_prop_ro("logit_bias", [](const Model& m) { return m.clip().logits().bias; })
      .def("embed_pictures", &Model::EmbedPictures, nb::arg("pictures"), nb::arg("threads"),
           nb::arg("on_progress").none())
      .def("embed_texts", &Model::EmbedTexts, nb::arg("texts"), nb::arg("truncate"),
           nb::arg("threads"), nb::arg("on_progress").none())
      .def("preprocess", &Model::PreprocessPicture, nb::arg("pictures"), nb::arg("index"))
      .def("token_ids", &Model::TokenIds, nb::arg("texts"), nb::arg("truncate"));

  nb::class_<OpenStore>(module, "Store")
      .def(nb::init<const nb::bytes&>(), nb::arg("directory"))
      .def_prop_ro("images", [](const OpenStore& s) { return s.store().info().images; })
      .def_prop_ro("model_name", [](const OpenStore& s) { return s.store().info().model_name; })
      .def_prop_ro("fingerprint", [](const OpenStore& s) { return s.store().info().fingerprint; })
      .def_prop_ro("precision", [](const OpenStore& s) { return s.store().info().precision; })
      .def_prop_ro("level", [](const OpenStore& s) { return NameOf(s.store().info().level); })
      .def_prop_ro("stats_only", [](const OpenStore& s) { return s.store().info().stats_only; })
      .def_prop_ro("certificate",
                   [](const OpenStore& s) { return s.store().info().certificate.max; })
      .def_prop_ro("layers", [](const OpenStore& s) { return s.store().basis().layers(); })
      .def_prop_ro("heads", [](const OpenStore& s) { return s.store().basis().num_heads(); })
      .def_prop_ro("embed_width",
                   [](const OpenStore& s) { return s.store().basis().embed_width(); })
      .def_prop_ro("components",
                   [](const OpenStore& s) { return NamesOf(s.store().basis().components()); })
      .def_prop_ro("shards",
                   [](const OpenStore& s) {
                     std::vector<std::string> files;
                     for (Index i = 0; i < s.store().num_shards(); ++i) {
                       files.push_back(s.store().shard(i).file);
                     }
                     return files;
                   })
      .def("items", &OpenStore::Items)
      .def("embeddings", &OpenStore::Embeddings)
      .def("contributions", &OpenStore::Contributions, nb::arg("component"));

  nb::class_<FactorWriter>(module, "FactorWriter")
      .def(nb::init<const nb::bytes&, const std::optional<FloatInput>&,
                    std::tuple<Index, Index, Index, bool>, const std::string&, const Pictures&,
                    int>(),
           nb::arg("directory"), nb::arg("basis").none(), nb::arg("sizes"), nb::arg("info"),
           nb::arg("pictures"), nb::arg("threads"))
      .def_prop_ro("next_images", &FactorWriter::next_images)
      .def("add", &FactorWriter::Add, nb::arg("head_z"), nb::arg("ln"), nb::arg("mlp"),
           nb::arg("cls_attn"), nb::arg("embedding"), nb::arg("skipped"))
      .def("finish", &FactorWriter::Finish)
      .def("drop", &FactorWriter::Drop)
      .def("close", &FactorWriter::Close);
}

}  // namespace cliplens::python
