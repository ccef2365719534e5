// cliplens explain MODEL --image F (--text T | --classes FILE)
#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "cliplens/analysis/explanation.h"
#include "cliplens/analysis/zero_shot.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/scored_picture.h"
#include "cliplens/cli/verb.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/report/explanation_report.h"
#include "cliplens/report/label_file.h"

namespace cliplens::cli {
namespace {

constexpr char kRunnerUp[] = "runner-up";
constexpr char kMean[] = "mean";

struct Options {
  ModelChoice model;
  std::string image;
  std::string text;
  std::string classes;
  std::string class_name;
  std::string against;
  std::string templates = "imagenet";
  std::string labels;
  Index top = 8;
  std::string out;
};

Statement Text(const ClipModel& model, const std::string& text, int threads) {
  EmbedWords(model, {text}, threads);
  return TextStatement(model, text, threads);
}

// Fills in what is scored, against what.
Statement OfText(const ClipModel& model, const Options& options, const Common& common,
                 ExplanationReport& report) {
  report.text = options.text;
  Statement text = Text(model, options.text, common.threads);
  if (options.against.empty()) return text;
  report.against = options.against;
  report.against_kind = "text";
  return Difference(text, Text(model, options.against, common.threads));
}

class ClassStatements {
 public:
  ClassStatements(const ClipModel& model, const Options& options, const Common& common)
      : model_(model),
        common_(common),
        classes_(ReadClassFile(options.classes)),
        templates_(ReadTemplates(options.templates)),
        classifier_(MakeClassifier(model, classes_.names, templates_, /*truncate=*/false,
                                   common.threads, Progress(common, "classes"))) {}

  const std::vector<std::string>& names() const { return classes_.names; }

  Index Find(const std::string& name) const {
    const auto found = std::ranges::find(names(), name);
    if (found != names().end()) return found - names().begin();
    throw Error(ErrorCode::kNotFound, "{}: there is no class '{}' among its {}", classes_.name,
                Printable(name), names().size());
  }

  // The classes of this embedding, best first.
  std::vector<ClassScore> Ranked(const TokenPass& picture) const {
    return TopClasses(picture.embedding.row(0), classifier_, model_.logit_scale(),
                      static_cast<Index>(names().size()));
  }

  // With one template a class is a text, whose words are known.
  Statement Of(Index index) const {
    const std::string& name = names()[static_cast<std::size_t>(index)];
    if (templates_.size() == 1) {
      return TextStatement(model_, FillTemplate(templates_.front(), name), common_.threads);
    }
    return WholeStatement(name, classifier_.row(index));
  }

  Statement Mean() const {
    std::vector<float> mean(static_cast<std::size_t>(classifier_.dim(1)));
    for (std::size_t e = 0; e < mean.size(); ++e) {
      double sum = 0;
      for (Index c = 0; c < classifier_.dim(0); ++c) sum += classifier_(c, static_cast<Index>(e));
      mean[e] = static_cast<float>(sum / static_cast<double>(classifier_.dim(0)));
    }
    return WholeStatement(fmt::format("the mean of {} classes", names().size()), mean);
  }

 private:
  const ClipModel& model_;
  const Common& common_;
  ClassFile classes_;
  std::vector<std::string> templates_;
  Array<float, 2> classifier_;
};

Statement OfClass(const ClipModel& model, const TokenPass& picture, const Options& options,
                  const Common& common, ExplanationReport& report) {
  const ClassStatements classes(model, options, common);
  const std::vector<ClassScore> ranked = classes.Ranked(picture);
  const Index chosen =
      options.class_name.empty() ? ranked.front().index : classes.Find(options.class_name);
  report.text = classes.names()[static_cast<std::size_t>(chosen)];
  const Statement statement = classes.Of(chosen);
  if (options.against == kMean) {
    report.against_kind = kMean;
    const Statement mean = classes.Mean();
    report.against = mean.parts.front().text;
    return Difference(statement, mean);
  }
  Index other = -1;
  if (options.against.empty() || options.against == kRunnerUp) {
    report.against_kind = kRunnerUp;
    for (const ClassScore& score : ranked) {
      if (score.index == chosen) continue;
      other = score.index;
      break;
    }
    if (other < 0) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: one class has no runner-up; name more classes, or explain a --text",
                  options.classes);
    }
  } else {
    report.against_kind = "class";
    other = classes.Find(options.against);
  }
  report.against = classes.names()[static_cast<std::size_t>(other)];
  return Difference(statement, classes.Of(other));
}

void Run(const Options& options, const Common& common) {
  if (options.text.empty() && options.classes.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "give --text with a word in it, or --classes");
  }
  RefuseExistingIfNamed({options.out});
  const Image picture = ReadPicture(options.image);
  const ClipModel model = LoadModel(options.model);
  ExplanationReport report;
  report.layers = static_cast<int>(model.config().vision.layers);
  report.heads = static_cast<int>(model.config().vision.heads);
  report.grid = model.config().grid();
  report.top = options.top;
  report.picture = MappedPictureOf(model, picture, options.image);
  if (!options.labels.empty()) {
    for (const LabelledHead& head :
         ReadLabelFile(options.labels, model.fingerprint(), report.layers, report.heads).heads) {
      if (!head.label.empty()) report.labels[head.id] = head.label;
    }
  }
  const TokenPass pass = PassOf(model, picture, common.threads);
  const Statement statement = options.classes.empty()
                                  ? OfText(model, options, common, report)
                                  : OfClass(model, pass, options, common, report);
  report.explanation = Explain(model, pass, statement, common.threads);
  if (!options.out.empty()) WriteFileAtomically(options.out, EncodePng(ExplanationSheet(report)));
  if (common.json) return PrintJson(ExplanationJson(report));
  Print(ExplanationTable(report));
}

}  // namespace

void AddExplain(CLI::App& app, Common& common) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(
      app, common, "explain", "What each component, patch and word brings to one score",
      "cliplens explain pictureworld --image cat.png --text 'a picture of a cat' --out why.png");
  AddModelArgument(verb, options->model);
  AddPrecisionOption(verb, options->model);
  verb->add_option("--image", options->image, "JPEG, PNG or WebP")->required();
  CLI::Option* text = verb->add_option("--text", options->text, "The text that is scored");
  CLI::Option* classes =
      verb->add_option("--classes", options->classes,
                       "Class file: the picture's best class is explained, against the runner-up")
          ->excludes(text);
  verb->add_option("--class", options->class_name, "A class of --classes instead of the best one")
      ->needs(classes);
  verb->add_option("--against", options->against,
                   "What is taken off: a text, or with --classes a class, runner-up (the default "
                   "there) or mean");
  verb->add_option("--templates", options->templates,
                   "Of --classes: a file with one template a line, imagenet (80) or simple; with "
                   "one template the words are told apart")
      ->capture_default_str()
      ->needs(classes);
  verb->add_option("--labels", options->labels,
                   "File that 'cliplens label STORE --out FILE' wrote, to name heads by");
  verb->add_option("--top", options->top, "Components to list on each side")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  verb->add_option("--out", options->out, "PNG to write");
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace cliplens::cli
