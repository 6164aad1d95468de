"""How a picture becomes an input, as people say it: a named recipe, or a list of key=value.

    imagenet
    resize=256,crop=224,mean=0.485,0.456,0.406,std=0.229,0.224,0.225
    resize=640,letterbox=centre
    yolo,resize=416

`read_recipe` makes the manifest's `preprocessing` facts of the text, and `recipe_text` the text of
the facts.
"""

from simam_deploy.source.recipes.reading import RECIPES, Recipe, read_recipe, recipe_form
from simam_deploy.source.recipes.text import recipe_text

__all__ = ["RECIPES", "Recipe", "read_recipe", "recipe_form", "recipe_text"]
