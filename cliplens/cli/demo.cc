// cliplens demo --out DIRECTORY: the whole tour on the shipped model and pictures.
#include <chrono>
#include <iterator>
#include <memory>

#include <fmt/format.h>

#include "cliplens/app/heads.h"
#include "cliplens/app/report_content.h"
#include "cliplens/app/shipped.h"
#include "cliplens/cli/verb.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/decompose.h"
#include "cliplens/io/file.h"
#include "cliplens/io/image.h"
#include "cliplens/io/partial_directory.h"
#include "cliplens/report/html_report.h"
#include "cliplens/report/json.h"
#include "cliplens/report/label_report.h"
#include "cliplens/report/store_report.h"

namespace cliplens::cli {
namespace {

namespace fs = std::filesystem;

constexpr char kModel[] = "models/pictureworld";
constexpr char kPictures[] = "world/sets/test";
constexpr char kTexts[] = "world/texts/phrases.txt";
constexpr char kProperties[] = "world/texts/properties.txt";
constexpr char kClasses[] = "world/texts/objects.txt";
constexpr char kTemplates[] = "world/texts/objects.templates.txt";

// A picture of two objects, and the texts whose maps are shown; the first is explained.
constexpr char kScoredPicture[] = "test-000005.png";
constexpr const char* kScoredTexts[] = {"a picture of coffee in the desert", "coffee",
                                        "a sunflower"};

// A path as short as it can be said from where the user is.
std::string FromHere(const fs::path& path) {
  std::error_code error;
  const fs::path relative = fs::proximate(path, error);
  return error || relative.native().size() > path.native().size() ? path.string()
                                                                  : relative.string();
}

std::string ProgramName() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return error ? "cliplens" : FromHere(program);
}

void Run(const std::string& out, const Common& common) {
  const auto start = std::chrono::steady_clock::now();
  const ClipModel model = ClipModel::Load(ShippedPath(kModel));
  const std::unique_ptr<ImageSet> set = OpenImageSet(ShippedPath(kPictures));
  const TextPool pool = ReadTextPool(ShippedPath(kTexts));
  PartialDirectory directory(out);

  DecomposeOptions options;
  options.out = directory.path() / "store";
  options.keep_on_error = false;  // the whole tour is begun again
  options.threads = common.threads;
  options.progress = Progress(common, "decompose");
  const DecomposeResult result = Decompose(model, *set, options);

  const Store store = Store::Open(options.out);
  const std::vector<HeadId> heads = HeadsIn(store).Parse("all");
  const Work work = WorkOf(common);
  const Array<float, 2> texts =
      model.EmbedTexts(pool.texts, /*truncate=*/false, common.threads, work.Stage("texts"));
  ReportExtras extras = OpenExtras(store, model,
                                   {.properties = ShippedPath(kProperties).string(),
                                    .classes = {.classes = ShippedPath(kClasses).string(),
                                                .templates = ShippedPath(kTemplates).string()}},
                                   work);
  for (Index i = 0; i < set->size(); ++i) {
    const std::string path = set->path(i);
    if (!path.ends_with(kScoredPicture)) continue;
    extras.scores = MakeScores(model, DecodePicture(*set, i, path), path,
                               {std::begin(kScoredTexts), std::end(kScoredTexts)},
                               /*truncate=*/false, common.threads);
    extras.scores->explanation.labels = NamesOfHeads(*extras.labels);
    break;
  }
  const ReportInput input =
      CollectReport(store, model.config(),
                    {.heads = heads,
                     .pool = pool,
                     .texts = texts,
                     .images = set.get(),
                     .options = {.span = {.count = 10}, .threads = common.threads}},
                    std::move(extras));
  WriteFileAtomically(directory.path() / "report.html", RenderReport(input));
  std::vector<TextSpanResult> spans;
  for (const ReportHead& head : input.heads) spans.push_back(head.span);
  WriteFileAtomically(directory.path() / "span.json",
                      DumpJson(SpanJson(store.info(), pool, heads, spans, input.shares)) + "\n");
  WriteFileAtomically(directory.path() / "labels.json",
                      DumpJson(LabelJson(*input.extras.labels)) + "\n");
  directory.Commit();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::string page = (fs::path(out) / "report.html").string();
  if (common.json) {
    return PrintJson(DemoJson({.model_name = model.name(),
                               .decompose = result,
                               .heads = std::ssize(heads),
                               .texts = std::ssize(pool.texts),
                               .seconds = seconds,
                               .page = page}));
  }
  Print(fmt::format(
      "{} pictures, {} heads, {} texts with the model {} in {:.1f} s\n"
      "report: {}\n"
      "certificate: |sum of contributions - embedding| / |embedding| is {:.1e} at most, {:.1e} on "
      "average\n"
      "to explore it in the browser:\n"
      "  {} serve {} --labels {} \\\n"
      "    --texts {} --properties {} \\\n"
      "    --classes {} --templates {}\n",
      result.images, heads.size(), pool.texts.size(), model.name(), seconds, page,
      result.certificate.max, result.certificate.mean, ProgramName(),
      (fs::path(out) / "store").string(), (fs::path(out) / "labels.json").string(),
      FromHere(ShippedPath(kTexts)), FromHere(ShippedPath(kProperties)),
      FromHere(ShippedPath(kClasses)), FromHere(ShippedPath(kTemplates))));
}

}  // namespace

void AddDemo(CLI::App& app, Common& common) {
  auto out = std::make_shared<std::string>("demo");
  CLI::App* verb = AddVerb(app, common, "demo",
                           "The whole tour on the shipped model and pictures, with a report",
                           "cliplens demo --out demo");
  verb->add_option("--out", *out, "Directory to make")->capture_default_str();
  verb->callback([out, &common] { Run(*out, common); });
}

}  // namespace cliplens::cli
