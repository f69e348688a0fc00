"""Prints, as JSON, what the Python package in the directory given has to offer, without loading it.

Its native half need not be built: signatures and `__all__` are read from the sources, as a type checker reads them.
"""

import ast
import json
import pathlib
import sys

package = pathlib.Path(sys.argv[1])
modules = [ast.parse(path.read_text()) for path in sorted(package.glob("*.py"))]
classes = {node.name: node for module in modules for node in ast.walk(module) if isinstance(node, ast.ClassDef)}
# `_keywords.RunKeywords` adds to `_types.RunKeywords`: a name may stand for more than one class.
fields = {}
for module in modules:
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef):
            names = [item.target.id for item in node.body if isinstance(item, ast.AnnAssign)]
            fields.setdefault(node.name, []).extend(names)


def exported(name):
    """The strings of `__all__` of a module."""
    tree = ast.parse((package / name).read_text())
    lists = [n.value for n in tree.body if isinstance(n, (ast.Assign, ast.AugAssign))]
    return [item.value for n in lists if isinstance(n, ast.List) for item in n.elts if isinstance(item, ast.Constant)]


def functions(node):
    """Every `def`, overloads for type checkers included."""
    for item in ast.walk(node):
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield item


def parameters(function):
    """Names of parameters; `**options: Unpack[X]` stands for the fields of X."""
    a = function.args
    names = [p.arg for p in a.posonlyargs + a.args + a.kwonlyargs if p.arg != "self"]
    if a.kwarg is not None and isinstance(a.kwarg.annotation, ast.Subscript):
        keywords = a.kwarg.annotation.slice
        names += fields.get(getattr(keywords, "id", getattr(keywords, "attr", "")), [])
    return names


public = exported("__init__.py") + exported("_exceptions.py")
methods, attributes = {}, {}
for name in public:
    if name not in classes:
        continue
    node = classes[name]
    for item in ast.walk(node):
        # `self.id = …`, whatever method sets it.
        if isinstance(item, ast.Attribute) and isinstance(item.ctx, ast.Store) and not item.attr.startswith("_"):
            attributes.setdefault(f"{name}.{item.attr}", None)
    for function in functions(node):
        methods.setdefault(f"{name}.{function.name}", []).extend(parameters(function))
    for item in node.body:
        if isinstance(item, (ast.Assign, ast.AnnAssign)):
            targets = item.targets if isinstance(item, ast.Assign) else [item.target]
            for target in targets:
                attributes.setdefault(f"{name}.{getattr(target, 'id', '')}", getattr(item.value, "value", None))
print(json.dumps({"public": public, "methods": methods, "attributes": attributes, "fields": fields}))
