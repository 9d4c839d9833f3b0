"""The commonest words of eleven languages in Latin script: which of them a text is made of tells its language.

Words of the closed classes (articles, pronouns, prepositions, auxiliaries), from the languages' grammars.
"""

from __future__ import annotations

__all__ = ["STOPWORDS"]

STOPWORDS = {
    "da": """af alle at blev da de dem den der deres det dig din du efter eller en er et for fra få har have hun hvad
        hvis hvor i ikke ind jeg kan kommer kunne man med meget men mig min mod nej nogle noget nu når og også om op os
        på se sig skal som til ud under var ved vi vil være vores mere denne hans hendes eftersom selv""",
    "de": """aber alle als also am an auch auf aus bei bin bis bitte da damit dann das dass dem den denn der des die
        dies diese dieser dir doch du durch ein eine einem einen einer er es für haben hat ich ihr ihre ihnen im in ist
        ja kann kein keine können man mein mit nach nicht noch nur oder schon sein sich sie sind so um und uns unser
        unter vom von vor war was wenn wer werden wie wir wird wo wurde zu zum zur über""",
    "en": """a about after all also an and any are as at be because been before but by can could did do does for from
        get had has have he her here him his how i if in into is it its just me more my no not now of on one only or
        our out please she so some than that the their them then there these they this to up was we were what when
        where which who will with would you your""",
    "es": """a al algo aquí así como con cuando de del desde donde dos el ella ellos en entre era es esa ese esta estaba
        está están este esto fue ha hay hasta la las le les lo los me mi muy más ni no nos nosotros nuestra nuestro o
        para pero por porque puede que qué quien se ser si sin sobre son su sus también te tiene tu un una usted y ya
        yo""",
    "fr": """à au aussi aux avec avez avoir bien car ce ces cet cette comme dans de des deux du elle en est et eu été
        être fait il ils j'ai je la le les leur lui l'on mais me même mes moi mon ne nos notre nous on ont ou où par
        pas peut plus pour pouvez qu'il que qui sa sans se ses si son sont sur ta te tous tout très tu un une vos votre
        vous y c'est n'est""",
    "it": """a abbiamo ad ai al alla alle anche ancora che chi ci come con cosa da dal dalla degli dei del della delle
        di dopo e è era essere gli ha hai hanno ho i il in io la le lei lo loro ma mi mio molto ne nei nel nella noi
        non nostra nostro o per perché più può prima quando quello questa questo se sei si sono sua suo sul sulla ti tra
        tu tutti un una vi""",
    "nl": """aan al als bij dan dat de deze die dit door een en er geen had heb hebben heeft het hier hij hoe hun ik in
        is je jij jouw kan kunnen kunt maar me meer met mij mijn moet na naar niet nog nu of om onder ons onze ook op
        over te tot u uit uw van veel voor waar wat we wel werd wij wil worden wordt ze zich zij zijn zou""",
    "pl": """a ale bardzo bez być był była było być ci co czy dla do gdy gdzie go i ich ja jak jako jej jego jest
        jestem jeszcze jeśli już każdy kiedy która które który lub ma mam mi może można mnie my na nam nas nasz nie
        niż o od on ona oraz po pod przed przez przy się są ta tak także tego tej ten to tu twój ty tylko w we więc z
        za ze że""",
    "pt": """a ainda ao aos as até com como da das de dele depois do dos e é ela ele eles em entre era essa esse esta
        está estão este eu foi há isso isto já lhe mais mas me meu minha muito na nas não nem no nos nossa nosso
        num o os ou para pela pelo pode por porque quando que quem se sem ser seu são só sua suas também te
        tem um uma você à às""",
    "sv": """alla allt att av bara blev bli blir de dem den denna deras det detta dig din du där efter eller en er ett
        finns från får för ha hade han har hon hur här i icke inte in jag kan kommer kunde man med mellan men mig min
        mot mycket ni nu när någon något och om oss på sig sin ska skulle som så till under upp ut utan vad var vara
        vi vid vill är över""",
    "tr": """acaba ama ancak az bana ben beni bir biz bizim bu buna bunu burada da daha de değil
        diye en gibi göre hem hep her için ile ise kadar kendi ki kim lütfen mi mu mü ne neden nerede o olan
        olarak oldu olduğu olur onlar onu sadece sen siz sizin sonra şey şu tüm var ve veya ya yok zaman çok çünkü""",
}  # fmt: skip
