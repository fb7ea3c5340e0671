"""An application with two databases; migrations/ is what `flask db init --multidb` wrote."""

import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["SHOP_DATABASE"]
app.config["SQLALCHEMY_BINDS"] = {"ledger": os.environ["LEDGER_DATABASE"]}
db = SQLAlchemy(app)
migrate = Migrate(app, db)


class Customer(db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    customer_id = db.Column(db.ForeignKey("customer.id"))


class Invoice(db.Model):
    __bind_key__ = "ledger"
    id = db.Column(db.Integer, primary_key=True)
    total = db.Column(db.Numeric(10, 2))
