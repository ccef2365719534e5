#include "cliplens/cli/verb.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <unistd.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/hub_cache.h"
#include "cliplens/model/text_cache.h"

namespace cliplens::cli {
namespace fs = std::filesystem;

CLI::App* AddVerb(CLI::App& app, Common& common, const std::string& name,
                  const std::string& description, const std::string& example) {
  CLI::App* verb = app.add_subcommand(name, description);
  verb->add_flag("--json", common.json, "Write the result to standard output as JSON");
  verb->add_option("--threads", common.threads, "Threads to use (0: all cores)")
      ->check(CLI::Range(0, 4096));
  verb->add_flag("--quiet", common.quiet, "No progress bar");
  verb->footer("Example:\n  " + example);
  return verb;
}

ProgressSink Progress(const Common& common, std::string what) {
  if (common.quiet || isatty(STDERR_FILENO) == 0) return {};
  using Clock = std::chrono::steady_clock;
  struct State {
    Clock::time_point start = Clock::now();
    Clock::time_point last;
  };
  auto state = std::make_shared<State>();
  return [what = std::move(what), state](Index done, Index total) {
    const auto now = Clock::now();
    if (done < total && now - state->last < std::chrono::milliseconds(100)) return;
    state->last = now;
    const double seconds = std::chrono::duration<double>(now - state->start).count();
    const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0.0;
    constexpr Index kWidth = 30;
    const Index filled = total > 0 ? done * kWidth / total : 0;
    std::string bar;
    for (Index i = 0; i < kWidth; ++i) bar += i < filled ? "█" : "░";
    fmt::print(stderr, "\r{} {} {}/{}  {:.0f}/s ", what, bar, done, total, rate);
    if (done >= total) fmt::print(stderr, "\n");
    std::fflush(stderr);
  };
}

namespace {

void Write(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(ErrorCode::kExhausted,
                "standard output cannot be written (closed, or its disk is full)");
  }
}

}  // namespace

// Names of files stand in what is printed, so a terminal is given them escaped.
void Print(const std::string& text) {
  std::string out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    out += Printable(line, 4 * line.size() + 3);
    if (end < text.size()) out += '\n';
    begin = end + 1;
  }
  Write(out);
}

void PrintProblem(std::string_view text) {
  constexpr std::size_t kMaxBytes = 8'192;
  fmt::print(stderr, "cliplens: {}\n", Printable(text, kMaxBytes));
}

void PrintJson(const Json& result) { Write(DumpJson(result) + "\n"); }

fs::path SharePath(const std::string& relative) {
  std::vector<fs::path> roots;
  if (const char* share = std::getenv("CLIPLENS_SHARE"); share != nullptr && *share != '\0') {
    roots.emplace_back(share);
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    roots.push_back(program.parent_path().parent_path() / "share" / "cliplens");
    for (fs::path up = program.parent_path(); up.has_relative_path(); up = up.parent_path()) {
      roots.push_back(up);
    }
  }
  for (const fs::path& root : roots) {
    if (fs::exists(root / relative, error)) return root / relative;
  }
  return {};
}

fs::path ShippedPath(const std::string& relative) {
  fs::path path = SharePath(relative);
  if (path.empty()) {
    throw Error(ErrorCode::kNotFound,
                "{}: not found beside the program; set CLIPLENS_SHARE to the directory that has it "
                "(the source tree, or share/cliplens of an installation)",
                relative);
  }
  return path;
}

namespace {

constexpr char kArchitectureHelp[] =
    "Architecture of a checkpoint file without a configuration: a name of open_clip's (ViT-B-16), "
    "openai, or a JSON file like open_clip_config.json";

}  // namespace

void AddModelArgument(CLI::App* verb, ModelChoice& choice) {
  verb->add_option("MODEL", choice.model,
                   "Model directory, checkpoint file, shipped model or hf:ORG/NAME")
      ->required();
  verb->add_option("--arch", choice.architecture, kArchitectureHelp);
}

void AddModelOption(CLI::App* verb, ModelChoice& choice) {
  CLI::Option* model =
      verb->add_option("--model", choice.model, "The model, where the store's own has moved");
  verb->add_option("--arch", choice.architecture, kArchitectureHelp)->needs(model);
}

void AddPrecisionOption(CLI::App* verb, ModelChoice& choice) {
  verb->add_option("--precision", choice.precision,
                   "Products in fp32 or bf16; auto: bf16 where the processor has it")
      ->check(CLI::IsMember({"fp32", "bf16", "auto"}))
      ->capture_default_str();
}

namespace {

// Whether `path` can be the name of something shipped: no folder in it, and nothing of that name
// here.
bool MayBeShipped(const std::string& path) {
  std::error_code ignored;
  return !path.empty() && path.find('/') == std::string::npos && path != "." && path != ".." &&
         !fs::exists(path, ignored);
}

}  // namespace

fs::path ModelPath(const std::string& model) {
  if (IsHubName(model)) return FindInHubCache(model);
  if (MayBeShipped(model)) {
    fs::path shipped = SharePath("models/" + model);
    if (!shipped.empty()) return shipped;
  }
  return model;
}

fs::path TextsPath(const std::string& texts) {
  if (MayBeShipped(texts)) {
    fs::path shipped = SharePath("texts/" + texts + ".txt");
    if (!shipped.empty()) return shipped;
  }
  return texts;
}

fs::path TextsPath(const std::string& texts, const std::string& shipped) {
  return texts.empty() ? ShippedPath("texts/" + shipped + ".txt") : TextsPath(texts);
}

Array<float, 2> RowsOf(const ClipModel& model, const TextPool& pool, bool truncate,
                       const Common& common) {
  return CachedTexts(
      [&]() -> const ClipModel& { return model; }, model.fingerprint(), model.precision(),
      pool.texts,
      {.truncate = truncate, .threads = common.threads, .progress = Progress(common, "texts")});
}

Classifier ClassifierOf(const ClipModel& model, const ClassFile& classes,
                        const std::vector<std::string>& templates, bool truncate,
                        const Common& common) {
  return CachedClassifier(
      [&]() -> const ClipModel& { return model; }, model.fingerprint(), model.precision(), classes,
      templates,
      {.truncate = truncate, .threads = common.threads, .progress = Progress(common, "classes")});
}

ClipModel LoadModel(const ModelChoice& choice) {
  return ClipModel::Load(ModelPath(choice.model), ParsePrecision(choice.precision),
                         choice.architecture);
}

ClipModel LoadModelOf(const Store& store, const ModelChoice& choice) {
  ModelChoice place = choice;
  if (place.model.empty()) {
    place = {store.info().model_path, store.info().model_architecture};
    std::error_code ignored;
    if (!fs::exists(place.model, ignored)) {
      throw Error(ErrorCode::kNotFound,
                  "{}: the model {} of this store is not there any more; say where it is with "
                  "--model",
                  place.model, store.info().model_name);
    }
  }
  ClipModel loaded = LoadModel(place);
  if (loaded.fingerprint() != store.info().fingerprint) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: made by model {} with fingerprint {}, {} has {}; name the same model with "
                "--model or decompose again",
                store.directory().string(), store.info().model_name, store.info().fingerprint,
                place.model, loaded.fingerprint());
  }
  return loaded;
}

namespace {

// Several sets as one, for stores that were merged.
class JoinedSets : public ImageSet {
 public:
  explicit JoinedSets(std::vector<std::unique_ptr<ImageSet>> sets) : sets_(std::move(sets)) {}

  Index size() const override {
    Index n = 0;
    for (const auto& set : sets_) n += set->size();
    return n;
  }
  Item item(Index i) const override { return SetOf(i).item(i); }
  std::vector<std::uint8_t> Read(Index i) const override { return SetOf(i).Read(i); }
  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    return SetOf(i).ReadMask(i);
  }
  std::string kind() const override { return "joined"; }
  std::string root() const override { return sets_.front()->root(); }

 private:
  // The set that holds picture i; makes i its number there.
  const ImageSet& SetOf(Index& i) const {
    std::size_t s = 0;
    while (i >= sets_[s]->size()) i -= sets_[s++]->size();
    return *sets_[s];
  }

  std::vector<std::unique_ptr<ImageSet>> sets_;
};

}  // namespace

void AddImagesOption(CLI::App* verb, ImagesChoice& choice, CLI::App* group) {
  CLI::Option* images =
      (group == nullptr ? verb : group)
          ->add_option("--images", choice.images,
                       "Picture, folder, table (.csv, .tsv), WebDataset shards or published data "
                       "set");
  if (group == nullptr) images->required();
  verb->add_option(
          "--split", choice.split,
          "Only this split of the pictures, where the set has splits: train, val, test, or "
          "a value of a table's column 'split'")
      ->needs(images);
}

std::unique_ptr<ImageSet> OpenImages(const ImagesChoice& choice) {
  return OpenImageSet(choice.images, choice.split);
}

std::unique_ptr<ImageSet> OpenImagesOf(const Store& store, const std::string& images) {
  const std::vector<DataSource>& data = store.info().data;
  if (!images.empty()) return OpenImageSet(images, data.size() == 1 ? data.front().split : "");
  std::vector<std::unique_ptr<ImageSet>> sets;
  std::set<std::pair<std::string, std::string>> opened;
  for (const DataSource& source : data) {
    if (!opened.emplace(source.root, source.split).second) continue;
    try {
      sets.push_back(OpenImageSet(source.root, source.split));
    } catch (const Error&) {
      return nullptr;
    }
  }
  if (sets.empty()) return nullptr;
  if (sets.size() == 1) return std::move(sets.front());
  return std::make_unique<JoinedSets>(std::move(sets));
}

void AddOnError(CLI::App* verb, OnError& on_error) {
  verb->add_option("--on-error", on_error,
                   "Pictures that cannot be read: stop at the first, or skip and list them")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, OnError>{{"stop", OnError::kStop}, {"skip", OnError::kSkip}}))
      ->option_text("stop|skip [stop]");
}

Json SkippedListJson(const std::vector<SkippedPicture>& skipped) {
  Json list = Json::array();
  for (const SkippedPicture& picture : skipped) {
    list.push_back({{"path", picture.path}, {"message", picture.message}});
  }
  return list;
}

void WarnOfSkipped(const std::vector<SkippedPicture>& skipped, Index count) {
  if (!skipped.empty()) PrintProblem(SkippedText(skipped, count));
}

void RefuseExisting(const fs::path& path) {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(path, ignored))) {
    throw Error(ErrorCode::kPrecondition, "{}: exists already; name a new file or remove this one",
                path.string());
  }
}

void RefuseExistingIfNamed(std::initializer_list<std::string> paths) {
  for (const std::string& path : paths) {
    if (!path.empty()) RefuseExisting(path);
  }
}

void WriteIfNamed(const std::string& path, const std::string& text) {
  if (!path.empty()) WriteFileAtomically(path, text);
}

}  // namespace cliplens::cli
